// One leg of a session that is a TCP connection: about eight verbs over a non-blocking socket, and
// what the poller has told of it. Knows nothing of the other leg or of the rules of closing.
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

namespace finhold::relay {

// On the loop's thread.
class TcpLeg final : private net::Watcher {
 public:
  class Owner {
   public:
    // readable(), writable() or failed() may have changed.
    virtual void on_leg_ready(base::Side side) = 0;

   protected:
    ~Owner() = default;
  };

  struct Read {
    enum class What : std::uint8_t { bytes, urgent, nothing, end, failed, unclear };
    What what;
    std::size_t count = 0;
  };

  TcpLeg(net::Poller& poller, Owner& owner, base::Side side)
      : poller_(&poller), owner_(&owner), side_(side) {}
  TcpLeg(const TcpLeg&) = delete;
  TcpLeg& operator=(const TcpLeg&) = delete;
  ~TcpLeg() { reset(); }

  // Takes a connected socket with leg options (net/socket.h). `registered`: the poller knows it,
  // for somebody else. An error leaves the leg closed, by a RST.
  base::Error open(net::Descriptor fd, bool registered);

  [[nodiscard]] bool is_open() const { return fd_.valid(); }

  // Whether read() or write() is worth a system call: true from an edge until the kernel says that
  // nothing is left.
  [[nodiscard]] bool readable() const { return readable_; }
  [[nodiscard]] bool writable() const { return writable_; }

  // The errno that the connection failed with, from then on; 0 while it is well. Bytes that
  // arrived before the failure can still be read.
  [[nodiscard]] int failed() const { return error_; }

  // Requires is_open() of all that follow, but of reset().

  // After `end` or `failed` there is nothing more to read. `urgent`: one byte, that was sent as
  // urgent (R10); it is given by itself.
  //
  // recv(2) stops before the urgent byte if it has something to give before it, but one that begins
  // at it reads on, and nothing tells afterwards. So before it begins, it must be known what is
  // there. Ordinarily the poller has just told. Where a read has left some, and bytes may have come
  // since, a look (poll(2)) comes first: when a burst of splices has ended, where it takes the
  // place of the recv() that would find nothing, and before each read after one that filled the
  // buffer.
  //
  // What remains: an urgent byte that comes alone, while the kernel is between two instructions of
  // a look or of the poller's (tcp_poll() looks for the urgent byte first, then for bytes), arrives
  // at its place, but as an ordinary one. As on a direct connection, of two that are unread only
  // the last is urgent: TCP has one mark.
  Read read(std::span<std::byte> into);

  // Looks at the bytes that would be read, and leaves them. `ended`: no more will follow them.
  struct Peek {
    std::size_t count = 0;
    bool ended = false;
  };
  Peek peek(std::span<std::byte> into);
  // Drops bytes that peek() has shown. False: it cannot be done.
  bool skip(std::size_t count);

  // How many bytes the kernel took; fewer than all: no longer writable(), or failed(). `urgent`:
  // the last of them is.
  std::size_t write(std::span<const std::byte> bytes, bool urgent = false);

  // The same through a pipe, without the bytes coming into user memory. From here into an empty
  // pipe: `unclear` means that read() must tell what comes next. splice(2) never passes the urgent
  // mark.
  Read splice_to(net::Pipe& pipe, std::size_t most);
  // From a pipe into here, all that it holds.
  std::size_t splice_from(net::Pipe& pipe);

  // Ends the flow into this leg, after all that was written. At most once.
  void send_fin();

  // This end's own address: where the other end connected to, or whence this one did.
  [[nodiscard]] base::Address local_address() const;

  // Bytes that are still on their way to the other end; a FIN counts as one. One system call.
  [[nodiscard]] int unacknowledged() const;

  // Whether the other end has acknowledged all bytes, if not the FIN; also of a leg that has
  // failed.
  [[nodiscard]] bool delivered() const { return unacknowledged() <= (fin_sent_ ? 1 : 0); }

  // For net::SocketOwner: the addresses of the socket at the other end. Nothing once the
  // connection has failed.
  [[nodiscard]] std::optional<net::OtherEndAddresses> other_end() const {
    return net::other_end_of(fd_.get());
  }

  // Whether the end was read, so that the leg is, or was until it failed, half-closed.
  [[nodiscard]] bool ended() const { return ended_; }

  // Requires failed(). Whether it was found by a probe of the kernel (net::probe_unanswered), not
  // by a RST of its own accord or in answer to bytes.
  [[nodiscard]] bool failed_by_probe() const;

  // Other keepalive times, for a half-closed crossing leg.
  void set_keepalive(const net::KeepaliveOptions& keepalive);

  // Closes in order, for a leg whose end was read; sends the FIN if send_fin() did not. False:
  // bytes are waiting for a slow reader, and the kernel would give up an orphaned socket after some
  // retries (net.ipv4.tcp_orphan_retries); so the leg stays open, and this is to be called again
  // when the owner is told of a change. `delivered`: it stays open until the other end has
  // acknowledged everything, the FIN included; of that the owner is told too.
  [[nodiscard]] bool close_in_order(bool delivered);

  // The same without regard for a slow reader: the kernel goes on as far as it does.
  void close_now();

  // Aborts by RST, whatever is unsent.
  void reset();

  // True: bytes wait for an acknowledgement, the kernel has repeated itself, and no answer came for
  // `vanished_after_ms`; the leg has then failed with ETIMEDOUT. A paused reader does answer (RFC
  // 9293 section 3.8.6.1). One system call, none if nothing was written since all was acknowledged.
  bool check_answers(std::uint64_t vanished_after_ms);

 private:
  // What is known of the first byte that waits.
  enum class Mark : std::uint8_t {
    elsewhere,  // it is not urgent: the poller told so, and nothing was read since
    unknown,    // it is whatever came next
    in_sight,   // an urgent byte was there when the poller told: read on until it is reached
  };

  void on_ready(std::uint32_t events) override;
  void write_failed(int code);
  void read_untold();
  void note_read();
  bool look();

  net::Poller* poller_;
  Owner* owner_;
  net::Descriptor fd_;
  int error_ = 0;
  std::uint16_t read_turn_ = 0;  // of the poller, in which bytes were read last
  base::Side side_;
  Mark mark_ = Mark::unknown;
  bool readable_ : 1 = false;
  bool writable_ : 1 = false;
  bool end_in_sight_ : 1 = false;  // a FIN or an error has arrived: read on until it is reached
  bool fin_arrived_ : 1 = false;   // all bytes that there will be are in the kernel
  bool ended_ : 1 = false;         // the end was read
  bool fin_sent_ : 1 = false;
  bool unanswered_ : 1 = false;  // bytes were written since all was known to be acknowledged
};

}  // namespace finhold::relay
