// One stream of an HTTP/2 connection: a CONNECT tunnel (RFC 9113 section 8.5), read and written
// much like a socket. What the other side's bytes do is in http2/endpoint.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "http2/error_code.h"
#include "http2/proxy_status.h"
#include "http2/ring_buffer.h"

namespace finhold::http2 {

class Endpoint;

// On the thread of its connection. Made by Endpoint, valid until forget(), also after the stream or
// its connection has come to an end: then it takes nothing, and what had arrived can still be read.
class Stream {
 public:
  // Told from within Endpoint::feed(), produce(), lose() and cut(). Every verb of every stream may
  // be called from there, forget() too; those four may not.
  class Events {
   public:
    // Near: the answer to the CONNECT. From 200 to 299 the tunnel stands. Any other is the last
    // that is told of the stream, and whatever was written is dropped; forget() it.
    virtual void on_answer(int status) = 0;
    // readable() or ended() has changed. Told again with the next bytes, not with those left over.
    virtual void on_readable() = 0;
    // write() had taken less than all; now half of the buffer is free.
    virtual void on_writable() = 0;
    // After finish(): all that was written, and the end, is on its way.
    virtual void on_sent() {}
    // The stream was aborted: it is a reset, never an end. Nothing more is told of it. Bytes that
    // arrived before it can still be read. Where `code` is
    //   no_error: the other side had ended in order, and takes nothing more (RFC 9113 section 8.1);
    //             only then; RST_STREAM(NO_ERROR) without an end is told as cancel
    //   refused_stream: unless answered(), nothing was processed, and it may be tried on another
    //             connection, with take_written() and write_again()
    //   connect_error: a RST at the other side; or the connection was lost
    virtual void on_reset(ErrorCode code) = 0;

   protected:
    ~Events() = default;
  };

  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  // Far: who is told of this stream; to be set in Endpoint::Events::on_connect.
  void set_events(Events& events) { events_ = &events; }

  // Far, once: answers the CONNECT. 200 to 299: the tunnel stands. Any other ends the stream, what
  // the client has sent is dropped, and forget() is to follow. Of 407 there may be few: who guesses
  // loses the connection. `error`: why, for Proxy-Status.
  void respond(int status, ProxyError error = ProxyError::none);

  // Takes as many of the bytes as there is room for, and returns how many. On the near side they
  // may come before the answer: optimistic data. Requires that finish() was not called.
  std::size_t write(std::span<const std::byte> bytes);
  // The same without a copy: memory to read into, and then how much was put there (also 0).
  [[nodiscard]] std::span<std::byte> room();
  void wrote(std::size_t count);
  // Whether write() would take anything.
  [[nodiscard]] bool writable() const { return takes() && out_.free() > 0; }

  // Near. What was written is kept until the answer, also what is on its way: that bounds it by the
  // buffer, and lets it go to another stream if this one is refused.
  [[nodiscard]] bool answered() const { return status_ != 0; }
  // Near: its request has gone out. If not, the other side never heard of it.
  [[nodiscard]] bool asked() const { return asked_; }
  // Why it was answered by another status than 200 to 299, if the other side has said so.
  [[nodiscard]] ProxyError why_refused() const { return why_refused_; }
  // In on_reset(refused_stream), unless answered(): all that was written, without the end.
  [[nodiscard]] RingBuffer take_written();
  // Right after Endpoint::open(): what another stream gave, of a connection with the same pool.
  void write_again(RingBuffer written);

  // The end, after all that was written: END_STREAM, with the last bytes if they are still here.
  void finish();

  // RST_STREAM. What was written is sent before it, as far as the windows allow at once; an end
  // that was not sent yet is not. forget() is to follow.
  void reset(ErrorCode code);

  // Bytes that were written and are not on their way.
  [[nodiscard]] std::size_t unsent() const { return out_.size() - kept_; }
  // There were such bytes when the stream came to its end; they are gone.
  [[nodiscard]] bool dropped() const { return dropped_; }

  // Bytes that have arrived; the first of them, if they do not lie in one piece. Valid until
  // consumed() or the end of the event.
  [[nodiscard]] std::span<const std::byte> readable() const {
    return direct_.empty() ? in_.front() : direct_;
  }
  // That many of them are done with; the other side may send as many more. Requires
  // count <= readable().size().
  void consumed(std::size_t count);

  // The other side has ended in order.
  [[nodiscard]] bool end_arrived() const { return remote_ended_; }
  // ... and all its bytes were consumed.
  [[nodiscard]] bool ended() const { return remote_ended_ && readable().empty(); }

  // The stream is not wanted any more; the pointer is void from now on. Where both sides have
  // ended, what was written still goes out; any other stream is reset (CANCEL, if reset() was not
  // called).
  void forget();

  [[nodiscard]] std::int32_t id() const { return id_; }

 private:
  friend class Endpoint;
  friend struct Callbacks;
  enum Due : unsigned { answer = 1, read = 2, room_again = 4, sent = 8, aborted = 16 };

  Stream(Endpoint& http2, base::BlockPool& pool, Events* events)
      : http2_(&http2), events_(events), in_(pool), out_(pool) {}

  [[nodiscard]] bool takes() const {
    return !closed_ && !refused_ && !finished_ && !reset_code_ && !forgotten_;
  }
  // Whether what arrives is dropped.
  [[nodiscard]] bool deaf() const { return closed_ || refused_ || reset_code_ || forgotten_; }
  // Of near, not answered() yet.
  [[nodiscard]] bool keeps_written() const;
  void are_sent(std::size_t count);
  void was_answered();
  void tell_room();
  void drop_written();
  void resume();
  void arrived(std::span<const std::byte> bytes);

  Endpoint* http2_;
  Events* events_;
  RingBuffer in_;
  RingBuffer out_;
  std::span<const std::byte> direct_;    // arrived just now, not copied yet; then in_ is empty
  std::optional<ErrorCode> reset_code_;  // reset() was called
  ErrorCode told_code_ = ErrorCode::no_error;
  std::int32_t id_ = 0;
  int status_ = 0;  // of the answer; 0: none yet
  unsigned due_ = 0;
  std::size_t kept_ = 0;   // the first of out_: on their way already
  std::size_t index_ = 0;  // in Endpoint::streams_
  ProxyError why_refused_ = ProxyError::none;
  bool asked_ = false;
  bool refused_ = false;       // the answer was not 200 to 299
  bool finished_ = false;      // finish() was called
  bool end_sent_ = false;      // END_STREAM is out
  bool remote_ended_ = false;  // END_STREAM has arrived
  bool closed_ = false;        // nghttp2 knows it no more
  bool dropped_ = false;       // bytes that were unsent then
  bool forgotten_ = false;
  bool deferred_ = false;  // nghttp2 waits for resume()
  bool short_ = false;     // on_writable() is awaited
};

}  // namespace finhold::http2
