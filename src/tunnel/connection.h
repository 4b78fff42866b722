// One connection of a pair, either end of it: a TCP socket, TLS or nothing, and HTTP/2 on top.
//
// It always reads: what a stream's sink does not take is bounded by the stream's window. It writes
// at the end of a turn, all that the turn has made at once. Whatever is not an end in order
// (GOAWAY, no stream open, close_notify) is a loss: every stream that is open then is reset, never
// ended.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "http2/endpoint.h"
#include "net/descriptor.h"
#include "net/loop.h"
#include "net/poller.h"
#include "net/timers.h"
#include "tls/endpoint.h"
#include "tunnel/handshake_queue.h"
#include "tunnel/protocol_detection.h"
#include "tunnel/settings.h"
#include "tunnel/transport.h"

namespace finhold::tunnel {

class ConnectionTable;

struct ConnectionOptions {
  http2::Endpoint::Role role = http2::Endpoint::Role::near;
  http2::Settings http2;  // its connection_window is raised to twice the window of a stream
  const tls::Context* tls =
      nullptr;  // nullptr: without TLS. Used only while the connection is made
  Liveness life;
  net::Instant ready_within_ms = 10'000;  // TLS and SETTINGS: who is silent, or slow, is dropped
  net::Instant goodbye_ms = 2000;  // without progress, for the other side to take all and end too
};

// On the worker's thread. Made, owned and destroyed by the ConnectionTable.
class Connection final : public Transport,
                         private net::Watcher,
                         private net::Timer,
                         private http2::Endpoint::Events {
 public:
  // Told from within events of the poller, of a timer, or at the end of a turn; never from within a
  // verb. Every verb may be called from there.
  class Owner {
   public:
    // TLS stands and the other side's SETTINGS have come, so it has accepted our certificate too.
    // Near: streams can be opened from now on.
    virtual void on_ready(Connection& connection) = 0;
    // Far: as http2::Endpoint::Events::on_connect.
    virtual void on_connect(Connection& connection, http2::Stream& stream,
                            const http2::ConnectRequest& request) = 0;
    // Far: as http2::Endpoint::Events::on_refused.
    virtual void on_refused(Connection& /*connection*/, std::string_view /*authority*/,
                            int /*status*/) {}
    // Near: one or more streams have gone, or the other side allows more: can_open(). Or it has no
    // stream any more, and none can be opened.
    virtual void on_room(Connection& connection) = 0;
    // The other side has said GOAWAY: no stream can be opened any more, those that are open go on.
    // Told once.
    virtual void on_goaway(Connection& connection) = 0;
    // It is over; its streams, those that were open, have been reset before, though some sessions
    // may still have to learn of that. Told once, and nothing after it. `why`: a sentence for the
    // log, without a stop; empty: it has ended in order, or was cut while no stream was open. The
    // connection is not to be used any more after this call; its streams stay valid until they are
    // forgotten.
    virtual void on_closed(Connection& connection, const std::string& why) = 0;

   protected:
    ~Owner() = default;
  };

  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  // Streams that were not forgotten become void, without an event.
  ~Connection();

  // Near. Opens a stream, which goes out at the end of the turn; nullptr: not now, since can_open()
  // is false. Requires what http2::Endpoint::open() does.
  [[nodiscard]] http2::Stream* open(const http2::ConnectRequest& request,
                                    http2::Stream::Events& events);
  // Near: ready, not draining, and room by the other side's limit and by ours.
  [[nodiscard]] bool can_open() const;

  // Streams that were not forgotten, or have still bytes to send.
  [[nodiscard]] std::size_t streams() const { return http2_.streams(); }
  [[nodiscard]] bool ready() const { return ready_; }
  // The other side has said GOAWAY.
  [[nodiscard]] bool sent_away() const { return goaway_received_; }

  // Something was written to, consumed from, or done with one of its streams: what that makes goes
  // out at the end of the turn. After http2::Stream::respond, write, wrote, finish, reset, consumed
  // and forget; calling it often costs nothing.
  void touch() override;
  [[nodiscard]] bool lost() const override { return lost_ || !http2_.failed().empty(); }
  void tell_later(ResetQueue::Entry& leg) override;

  // No new streams; when the last one is gone: GOAWAY, close_notify and FIN. One that is not ready
  // yet is cut.
  void drain();
  // Far, after drain(): what is asked for from now on is dropped, whether or not the near end has
  // shown that it knows of the drain.
  void refuse_new();
  // Far: the near end has shown who it is. Before that it has a small part of the worker's time,
  // which all such share, and of what a connection may send. Once, or more often.
  void prove();

  // At the end of the turn: its streams are reset, at both ends, and the connection closed. Called
  // again, it does not wait for the other side's goodbye.
  void cut();

  // Nothing of it is open, and nothing waits to be sent.
  [[nodiscard]] bool is_unused() const { return streams() == 0 && !pending(); }

  // What it has sent for its handshake was not looked at yet, since others were there before: it is
  // not slow, we are.
  [[nodiscard]] bool waits_for_us() const { return waiting_; }

  [[nodiscard]] const base::Address& other_end() const { return other_end_; }
  // Who the other end is by its certificate, for the log; empty: it has shown none.
  [[nodiscard]] std::string identity() const;
  // Far, once it was ready: whether the other end would be let in by that one too.
  [[nodiscard]] bool is_believed_by(const tls::Context& tls) const;

 private:
  friend class ConnectionTable;
  friend class HandshakeQueue;
  enum class State : std::uint8_t {
    open,
    leaving,  // in order: close_notify waits for room in the socket
    goodbye,  // our FIN is out, theirs is awaited, so that they read all before the socket goes
    closed,   // there is no socket any more
  };
  static constexpr std::uint64_t not_made = UINT64_MAX;
  // Bytes. What is received at once at first, and never more of strangers; and what is made at once
  // for a socket that takes all.
  static constexpr std::size_t first_received = std::size_t{2} << 10;
  static constexpr std::size_t chunk_of_fast_links = std::size_t{128} << 10;

  Connection(ConnectionTable& table, net::Descriptor socket, const base::Address& other_end,
             const ConnectionOptions& options, Owner& owner);
  void begin(bool registered);
  void turn();

  void on_ready(std::uint32_t events) override;
  void on_time() override;
  void on_settings() override;
  void on_connect(http2::Stream& stream, const http2::ConnectRequest& request) override;
  void on_refused(std::string_view authority, int status) override {
    owner_.on_refused(*this, authority, status);
  }
  void on_goaway(std::int32_t last_stream, http2::ErrorCode code) override;
  void on_ping_ack(std::uint64_t /*token*/) override {}

  // For the HandshakeQueue. False: it does so already.
  bool begin_waiting();
  void shake_hands();
  void stop_waiting();
  void give_up_if_late();

  [[nodiscard]] bool has_unprocessed() const {
    return state_ == State::open && http2_.has_unprocessed();
  }
  // It has something to read, or to process.
  [[nodiscard]] bool has_more() const { return readable_ || has_unprocessed(); }
  void receive();
  [[nodiscard]] bool must_queue() const;
  void read();
  void take(std::span<const std::byte> bytes);
  void process_more();
  void decrypt(std::span<const std::byte> ciphertext);
  void look_for_end_of_tls();
  void feed(std::span<const std::byte> bytes);
  void other_side_ended();
  [[nodiscard]] std::string why_ended() const;

  void flush();
  [[nodiscard]] std::span<const std::byte> make();
  bool send(std::span<const std::byte> bytes);
  [[nodiscard]] bool may_produce() const;
  [[nodiscard]] bool pending() const;

  [[nodiscard]] static std::string words_of(int error);
  void lose(const std::string& why);
  void fail(const std::string& why);
  void cut_now();
  void leave();
  void end_in_order();
  [[nodiscard]] bool part(State state);
  void say_goodbye();
  void wait_for_goodbye();
  void close(bool in_order);
  [[nodiscard]] bool is_alive(net::Instant now);
  void ask(net::Instant now);
  [[nodiscard]] std::uint64_t acknowledged() const;
  void room_came();
  void tell_closed(const std::string& why);
  void tell_room();

  ConnectionTable& table_;
  Owner& owner_;
  net::Descriptor fd_;
  base::Address other_end_;
  std::uint64_t source_;  // a hash of base::Network::of_source(other_end_)
  std::optional<tls::Endpoint> tls_;
  http2::Endpoint http2_;
  std::vector<std::byte> kept_;  // made, and not taken by the socket yet
  std::size_t kept_begin_ = 0;
  std::size_t received_at_once_;
  std::size_t chunk_;               // how much is made at once
  std::size_t least_chunk_;         // ... for a socket that was full
  net::Instant full_at_ = 0;        // when it became so
  std::uint64_t sent_ = 0;          // bytes that the socket took
  std::uint64_t acknowledged_ = 0;  // of them, at the last look
  std::uint64_t asked_until_ = 0;   // of them, with the first PING that is not answered
  Liveness life_;
  ReadyTime ready_time_;
  net::Instant goodbye_ms_;
  net::Instant heard_at_;           // when something was received
  net::Instant pinged_at_ = 0;      // the last time
  net::Instant waiting_since_ = 0;  // for the answer
  int unanswered_ = 0;              // PINGs, and nothing was received since
  std::size_t room_streams_ = 0;    // streams() at the last open() or tell_room()
  int unacknowledged_ = 0;          // bytes, when goodbye_ms began
  net::Instant parted_at_ = 0;      // when it began to leave
  int send_error_ = 0;              // what was received before it is still read
  http2::ErrorCode goaway_ = http2::ErrorCode::no_error;
  std::size_t slot_ = 0;  // in the table
  State state_ = State::open;
  DetectedProtocol other_end_speaks_ = DetectedProtocol::none_yet;
  bool goaway_received_ = false;
  bool ready_ = false;
  bool is_known_;  // far: the near end has shown who it is
  bool lost_ = false;
  bool draining_ = false;
  bool to_cut_ = false;
  bool readable_ = false;
  bool to_the_end_ = false;  // read until there is nothing: a short read is no proof
  bool writable_ = true;
  bool could_open_ = false;
  bool queued_ = false;   // in the table's queue
  bool waiting_ = false;  // in its HandshakeQueue
  bool late_ = false;     // when it has had its turn there, it is to be ready
};

}  // namespace finhold::tunnel
