// The connections of one worker, and what they share: the memory that their bytes move through, and
// the end of the turn, at which they write.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/address.h"
#include "base/block_pool.h"
#include "net/block_trimmer.h"
#include "net/descriptor.h"
#include "net/loop.h"
#include "net/poller.h"
#include "net/timers.h"
#include "tunnel/connection.h"
#include "tunnel/handshake_queue.h"
#include "tunnel/reset_queue.h"

namespace finhold::tunnel {

// On the worker's thread.
class ConnectionTable final : private net::TurnEnd {
 public:
  class Owner {
   public:
    // The last connection is gone. Told at the end of a turn.
    virtual void on_no_connections() = 0;

   protected:
    ~Owner() = default;
  };

  // Everything referred to outlives the table, and it outlives the sessions whose legs are streams.
  // `window`: bytes of one stream, one way, at least http2::Endpoint::least_window.
  ConnectionTable(net::Loop& loop, net::Poller& poller, net::Timers& timers, std::size_t window,
                  Owner& owner);
  ConnectionTable(const ConnectionTable&) = delete;
  ConnectionTable& operator=(const ConnectionTable&) = delete;
  // Without an event: connections are aborted, streams become void.
  ~ConnectionTable();

  // From now on turns end with it too. Once, before start(), and after the SessionTable was made:
  // so what sessions write at the end of a turn goes out in the same turn.
  void begin();

  // A connection over a socket that is connected, non-blocking and has leg options
  // (net::set_leg_options). `registered`: the poller knows the descriptor already (net::Dialer).
  // `owner` outlives the connection's on_closed(). Nothing is told before this returns.
  Connection& start(net::Descriptor socket, bool registered, const base::Address& other_end,
                    const ConnectionOptions& options, Connection::Owner& owner);

  // Also of those that only say goodbye (2 s at most), or have streams that were not forgotten.
  [[nodiscard]] bool empty() const { return connections_.empty(); }

  // Connection::cut() for all.
  void cut_all();

  // The same for those that have no stream and nothing to send: it is no loss, only their other end
  // has not agreed to part yet (RFC 9113 section 6.8: the first GOAWAY of far waits for that).
  void cut_unused();

  // For tests: what the time of a turn is measured with (HandshakeQueue::time_in_turn).
  void measure_handshakes_with(HandshakeQueue::Clock clock) { handshakes_.measure_with(clock); }

 private:
  friend class Connection;

  // What is sent at once: one send(), and all TLS records of it in one piece of memory. With TLS
  // besides that, what TLS itself has to say.
  static constexpr std::size_t most_sent = std::size_t{512} << 10;
  static constexpr std::size_t wire_size = most_sent + (std::size_t{64} << 10);
  // What is received at once.
  static constexpr std::size_t most_received = std::size_t{256} << 10;
  // Connections that may be leaving, or saying goodbye: those that fail can come fast, and nobody
  // else bounds them, since they are over for their owners (`connections` of [[far]]). Of strangers
  // apart, who have only a reason to read: the last bytes of others are not to be lost for these.
  static constexpr std::size_t most_goodbyes = 256;
  static constexpr std::size_t most_goodbyes_of_strangers = 48;

  // In a turn, by all connections together: bytes that cost much, of many, would keep others from
  // theirs for seconds. Each has longest_read of it, or a part where some wait.
  static constexpr std::chrono::milliseconds time_to_read{2};
  static constexpr std::chrono::microseconds longest_read{1000};
  static constexpr std::chrono::microseconds longest_read_behind{250};

  bool turn_end() override;
  void reap();
  void queue(Connection& connection);
  void defer(Connection& connection);
  void alternate_sources();
  [[nodiscard]] Connection& that_waits_no_longer(Connection& one_of_them) const;
  std::size_t& goodbyes_of(bool known) { return known ? goodbyes_ : goodbyes_of_strangers_; }
  // Whether a connection may read what has come, or is to wait for its turn behind others.
  [[nodiscard]] bool may_read() const {
    return read_time_ < time_to_read && (ends_turn_ || !is_behind_);
  }

  net::Loop& loop_;
  net::Poller& poller_;
  net::Timers& timers_;
  Owner& owner_;
  base::BlockPool pool_;
  net::BlockTrimmer trimmer_;
  std::unique_ptr<std::byte[]> wire_;   // as it is on the wire
  std::unique_ptr<std::byte[]> plain_;  // most_sent; of TLS only
  std::vector<std::unique_ptr<Connection>> connections_;
  std::vector<Connection*> queue_;  // have something to do at the end of the turn
  std::vector<Connection*>
      deferred_;  // the same, and there was no time: they are first in the next turn
  std::vector<Connection*> running_;  // queue_ of the turn that ends now
  struct Place {
    std::uint64_t order;  // first by source, then by how many of it stand before
    std::size_t before;   // in running_
    Connection* connection;
  };
  std::vector<Place> places_;  // of alternate_sources()
  HandshakeQueue handshakes_;
  ResetQueue resets_;
  std::chrono::nanoseconds read_time_{0};  // in this turn, by those that are known
  bool is_behind_ = false;                 // some wait in the queue for their turn to read
  bool ends_turn_ = false;
  std::size_t goodbyes_ = 0;
  std::size_t goodbyes_of_strangers_ = 0;
  bool told_ = false;  // somebody was told something at the end of this turn
};

}  // namespace finhold::tunnel
