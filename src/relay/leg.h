// One leg of a session, whatever it is made of: about eight verbs that never block, and what is
// known of its state. Knows nothing of the other leg or of the rules of closing. A TcpLeg is one; a
// session also takes those of others, who can carry both ends and a reset (DESIGN.md section 4).
#pragma once

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/side.h"
#include "core/ending.h"

namespace finhold::net {
struct KeepaliveOptions;
}

namespace finhold::relay {

class TcpLeg;

// On the loop's thread.
class Leg {
 public:
  class Owner {
   public:
    // readable(), writable() or failed() may have changed. Never from within a call of the leg's.
    virtual void on_leg_ready(base::Side side) = 0;

    // Its socket is closed next, in whatever way. From within a call of the leg's, or the last of
    // its destructor's: nothing of the leg may be used.
    virtual void on_leg_closing(base::Side /*side*/) {}

   protected:
    ~Owner() = default;
  };

  struct Read {
    enum class What : std::uint8_t { bytes, urgent, nothing, end, failed, unclear };
    What what;
    std::size_t count = 0;
  };

  Leg(const Leg&) = delete;
  Leg& operator=(const Leg&) = delete;
  virtual ~Leg() = default;

  // For one that was made before its owner. It is not told again of what has come already.
  void attach(Owner& owner, base::Side side) {
    owner_ = &owner;
    side_ = side;
  }

  [[nodiscard]] bool is_open() const { return open_; }

  // Whether read() or write() is worth a call: true from the moment that there is something until
  // the leg has said that nothing is left. All that has come is told to the owner once.
  [[nodiscard]] bool readable() const { return readable_; }
  [[nodiscard]] bool writable() const { return writable_; }

  // The errno that the connection failed with, from then on; 0 while it is well. Bytes that
  // arrived before the failure can still be read.
  [[nodiscard]] int failed() const { return error_; }

  // Whether the end was read, so that the leg is, or was until it failed, half-closed. One that
  // came before the failure is read as one (R4).
  [[nodiscard]] bool ended() const { return ended_; }

  // The same, perhaps with bytes before it that are still to be read.
  [[nodiscard]] virtual bool end_arrived() const { return ended_; }

  // Requires is_open() of all that follow, but of reset().

  // After `end` or `failed` there is nothing more to read. `urgent`: one byte, that was sent as
  // urgent (R10); it is given by itself.
  virtual Read read(std::span<std::byte> into) = 0;

  // How many bytes the leg took; fewer than all: no longer writable(), or failed(). `urgent`: the
  // last of them is; a leg that cannot tell its other end so sends it as any other, at its place.
  virtual std::size_t write(std::span<const std::byte> bytes, bool urgent = false) = 0;

  // Ends the flow into this leg, after all that was written. At most once.
  virtual void send_fin() = 0;

  // Whether there are bytes to read, also from a leg that has failed since they came.
  [[nodiscard]] virtual bool holds_bytes() const = 0;

  // Bytes that are still on their way to the other end; the end itself counts as one.
  [[nodiscard]] virtual int unacknowledged() const = 0;

  // The same without the end. For a leg that has failed: that never got there, as far as it knows.
  [[nodiscard]] virtual int undelivered() const = 0;

  // Whether the other end has all bytes, if not the FIN; also of a leg that has failed.
  [[nodiscard]] virtual bool delivered() const { return unacknowledged() == 0; }

  // Requires failed(). Whether it was found by asking for a sign of life, not by a reset of the
  // other end's own accord or in answer to bytes.
  [[nodiscard]] virtual bool failed_by_probe() const { return error_ == ETIMEDOUT; }

  // Requires failed(). What that makes of a session; a leg that was told more than an errno says
  // it.
  [[nodiscard]] virtual core::Ending ending_of_failure(base::Side side) const {
    return core::ending_of_failed_leg(side, error_);
  }

  // Closes in order, for a leg whose end was read; sends the FIN if send_fin() did not. False: the
  // leg stays open, for bytes that wait for a slow reader and would be lost; this is to be called
  // again when the owner is told of a change. `delivered`: it stays open until the other end has
  // acknowledged everything, the FIN included, if that is more and the leg can tell.
  [[nodiscard]] virtual bool close_in_order(bool delivered) = 0;

  // The same without regard for a slow reader: what can be done without the leg is done.
  virtual void close_now() = 0;

  // Aborts: the other end sees a reset, whatever is unsent. Nothing happens if it is not open.
  virtual void reset() = 0;

  // For a client leg that asked for a server: it has been reached; or it has not, for whatever
  // reason, and then the leg is closed. A TCP client can only be told by a reset.
  virtual void accept() {}
  virtual void refuse(core::Ending /*why*/) { reset(); }

  // For legs that are a TCP connection, each by itself; another has nothing to do.

  // Other keepalive times, for a half-closed crossing leg.
  virtual void set_keepalive(const net::KeepaliveOptions& /*keepalive*/) {}

  // True: bytes wait for an acknowledgement, and no answer came for `vanished_after_ms`; the leg
  // has then failed with ETIMEDOUT.
  virtual bool check_answers(std::uint64_t /*vanished_after_ms*/) { return false; }

  // The leg itself, if it is one: for splice(2), and for what the kernel knows of its socket.
  virtual TcpLeg* tcp() { return nullptr; }

 private:
  Owner* owner_ = nullptr;
  base::Side side_ = base::Side::client;

 protected:
  Leg() = default;
  Leg(Owner& owner, base::Side side) : owner_(&owner), side_(side) {}

  void tell_owner() {
    if (owner_ != nullptr) owner_->on_leg_ready(side_);
  }
  void tell_closing() {
    if (owner_ != nullptr) owner_->on_leg_closing(side_);
  }

  // Not behind virtual functions: each event asks for them several times.
  bool open_ : 1 = false;
  bool readable_ : 1 = false;
  bool writable_ : 1 = false;
  bool ended_ : 1 = false;
  bool error_may_be_taken_ : 1 = false;  // by TcpLeg::splice_from(); here is room for it
  int error_ = 0;
};

}  // namespace finhold::relay
