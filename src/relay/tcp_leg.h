// A leg that is a TCP connection: a non-blocking socket, and what the poller has told of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "base/address.h"
#include "base/error.h"
#include "base/side.h"
#include "net/descriptor.h"
#include "net/pipe_pool.h"
#include "net/poller.h"
#include "net/socket.h"
#include "net/socket_owner.h"
#include "relay/leg.h"
#include "relay/urgent_mark.h"

namespace finhold::relay {

// On the loop's thread.
class TcpLeg final : public Leg, private net::Watcher {
 public:
  TcpLeg(net::Poller& poller, Owner& owner, base::Side side) : Leg(owner, side), poller_(&poller) {}
  TcpLeg(const TcpLeg&) = delete;
  TcpLeg& operator=(const TcpLeg&) = delete;
  ~TcpLeg() override { TcpLeg::reset(); }

  // Takes a connected socket with leg options (net/socket.h). `registered`: the poller knows it,
  // for somebody else. `repeats_often`: its options have a longest_repeat_s. An error leaves the
  // leg closed, by a RST.
  base::Error open(net::Descriptor fd, bool registered, bool repeats_often = false);

  // Requires is_open() of all that follow, but of reset(). relay/leg.h says what the verbs do; here
  // is only what is so because it is TCP.

  // An urgent byte is given by itself (urgent_mark.h).
  Read read(std::span<std::byte> into) override;

  // Looks at the bytes that would be read, and leaves them. `ended`: no more will follow them.
  struct Peek {
    std::size_t count = 0;
    bool ended = false;
  };
  Peek peek(std::span<std::byte> into);
  // Drops bytes that peek() has shown. False: it cannot be done.
  bool skip(std::span<std::byte> seen);

  std::size_t write(std::span<const std::byte> bytes, bool urgent = false) override;

  // The same through a pipe, without the bytes coming into user memory. From here into an empty
  // pipe: `unclear` means that read() must tell what comes next. splice(2) never passes the urgent
  // mark.
  Read splice_to(net::Pipe& pipe, std::size_t most);
  // From a pipe into here, all that it holds.
  std::size_t splice_from(net::Pipe& pipe);

  [[nodiscard]] bool end_arrived() const override { return fin_arrived_; }
  void send_fin() override;

  // This end's own address: where the other end connected to, or whence this one did.
  [[nodiscard]] base::Result<base::Address> local_address() const;

  // A FIN counts as one byte. One system call.
  [[nodiscard]] int unacknowledged() const override;

  [[nodiscard]] int undelivered() const override;
  [[nodiscard]] bool delivered() const override { return undelivered() == 0; }
  // Whether all is on its way, the FIN included: it needs room in the other end's window, too. One
  // system call.
  [[nodiscard]] bool all_sent() const;
  // Smoothed, rounded up; and the shortest, rounded down. 0: not known.
  [[nodiscard]] base::Milliseconds round_trip() const;
  [[nodiscard]] base::Milliseconds least_round_trip() const;
  // Since the other end's kernel said anything.
  [[nodiscard]] std::uint64_t last_answer_ms() const;
  // One system call.
  [[nodiscard]] bool holds_bytes() const override;

  // For net::SocketOwner: the addresses of the socket at the other end. Nothing once the
  // connection has failed.
  [[nodiscard]] std::optional<net::OtherEndAddresses> other_end() const {
    return net::other_end_of(fd_.get());
  }

  // The probes are the kernel's (net::probe_unanswered).
  [[nodiscard]] bool failed_by_probe() const override;

  void set_keepalive(const net::KeepaliveOptions& keepalive) override;

  // The kernel would give up an orphaned socket after some retries (net.ipv4.tcp_orphan_retries);
  // so a leg with unsent bytes stays open, and after close_now() they go as far as it does. If it
  // is to be `delivered`, the owner is told of the last acknowledgement too.
  [[nodiscard]] bool close_in_order(bool delivered) override;
  void close_now() override;

  void reset() override;

  // The kernel must have repeated itself too. A paused reader does answer (RFC 9293 section
  // 3.8.6.1). One system call, none if nothing was written since all was acknowledged.
  bool check_answers(std::uint64_t vanished_after_ms) override;

  TcpLeg* tcp() override { return this; }

 private:
  void on_ready(std::uint32_t events) override;
  void note_error(int code);
  Read nothing_read();
  void fetched(int code);
  void write_failed(int code);
  void read_untold();
  bool look();
  void close_socket();

  net::Poller* poller_;
  net::Descriptor fd_;
  [[no_unique_address]] UrgentMark mark_;  // the flags below fit in behind it
  bool end_in_sight_ : 1 = false;  // a FIN or an error has arrived: read on until it is reached
  bool fin_arrived_ : 1 = false;   // before any failure: all bytes there will be are in the kernel
  bool fin_sent_ : 1 = false;
  bool unfetched_ : 1 = false;  // error_ is a guess until recv() tells
  bool spent_ : 1 = false;      // it has failed, and all that came before was read
  bool disarmed_ : 1 = false;   // close() would not be a reset
  bool repeats_often_ : 1 = false;
  bool unanswered_ : 1 = false;  // bytes were written since all was known to be acknowledged
};

}  // namespace finhold::relay
