// TLS 1.3 (RFC 8446) of a tunnel's connection, without I/O: bytes in, bytes out. OpenSSL does it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "tls/client_hello.h"
#include "tls/context.h"

struct ssl_st;

namespace finhold::tls {

enum class State : std::uint8_t {
  handshaking,
  open,
  ended,      // the other side has said that nothing more comes (close_notify)
  truncated,  // the transport ended without that: what is missing, nobody knows. A loss, no end.
  failed,
};

// One connection. On one thread. Nothing is kept of what read() and write() are given, so that many
// connections can share the memory: only messages of TLS itself (the handshake, alerts) wait
// inside, until write() is called. Idle it has no buffers.
class Endpoint {
 public:
  // The near end begins: has_output() is true at once.
  explicit Endpoint(const Context& context);
  Endpoint(const Endpoint&) = delete;
  Endpoint& operator=(const Endpoint&) = delete;
  ~Endpoint();

  struct Moved {
    std::size_t taken = 0;  // from the front of what was given
    std::size_t made = 0;   // at the front of the room
  };

  // Decrypts. Stops when all is taken, or the room is full: call again while made is the whole
  // room, then without new ciphertext too. What was made before an end or a failure is genuine.
  // After one, everything is taken and nothing made. `plain` must not be empty; 256 KiB are a good
  // size.
  Moved read(std::span<const std::byte> ciphertext, std::span<std::byte> plain);

  // First what TLS itself has to say, then the plain bytes in records as large as may be; none of
  // these before the session is open. The room should be at least 17 KiB, and a good size is that
  // of what is sent at once (512 KiB): all records of a call cost one send().
  Moved write(std::span<const std::byte> plain, std::span<std::byte> ciphertext);

  // Whether write() has something to make of nothing. True also after a failure: the alert that
  // tells the other side why.
  [[nodiscard]] bool has_output() const { return !wire_.kept.empty(); }

  // At the near end it says nothing about the far end's opinion of our certificate: TLS 1.3 tells a
  // refusal later, by failing.
  [[nodiscard]] State state() const { return state_; }
  [[nodiscard]] bool is_over() const { return state_ > State::open; }

  // What happened if `truncated` or `failed`: a sentence for the log, with nothing secret and no
  // control character in it.
  [[nodiscard]] const std::string& failure() const { return failure_; }

  // Who the other side is by its certificate: the subject; empty if it has shown none. For the log.
  [[nodiscard]] std::string other_side() const;

  // Far: whether a handshake with this other context, a newer one, would let the other side in
  // today, with the certificates that it has shown here: by its authorities, by what the
  // certificates are for, and by their dates. Without client_ca everybody is; with it, nobody who
  // has shown none. It costs what a handshake does for that (a signature for each certificate), so
  // once a context is enough. Requires a context of a far end.
  [[nodiscard]] bool would_be_believed_by(const Context& context) const;

  // Says that nothing more is written (close_notify); write() then takes nothing. Without it the
  // other side must take the end of the connection for a loss. Reading goes on.
  void close();

  // The transport has ended: nothing more will be read.
  void transport_ended();

 private:
  friend struct Callbacks;
  struct Free {
    void operator()(ssl_st* ssl) const;
  };

  // What OpenSSL believes to be its socket.
  struct Wire {
    std::span<const std::byte> in;
    bool starved = false;      // more was asked for than there is
    std::span<std::byte> out;  // filled up to `made`, then everything is kept
    std::size_t made = 0;
    std::vector<std::byte> kept;
  };

  void handshake();
  void check_protocol();
  bool may_go_on(int result);
  void fail(State state, std::string why);
  void flush_kept(std::span<std::byte> ciphertext, Moved& moved);

  std::unique_ptr<ssl_st, Free> ssl_;
  Wire wire_;
  ClientHello hello_;  // far
  std::string server_name_;
  std::string failure_;
  std::uint64_t records_per_key_;
  std::uint64_t records_ = 0;   // written with this key
  std::uint64_t messages_ = 0;  // of TLS itself, since the handshake
  std::uint64_t received_ = 0;  // bytes of data
  State state_ = State::handshaking;
  bool asks_system_;
  bool closed_ = false;
};

}  // namespace finhold::tls
