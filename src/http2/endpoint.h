// An HTTP/2 connection whose streams are CONNECT tunnels (RFC 9113 section 8.5), without any I/O:
// bytes in, bytes out, events. nghttp2 does the protocol. END_STREAM is the FIN, RST_STREAM the
// RST.
//
// Flow control. The window of a stream is one block of the pool, the very memory that its unread
// bytes are kept in, and is given back as they are consumed: nothing is promised that could not be
// kept. The window of the connection is given back at once on receipt, since the streams' windows
// bound the memory already: unread bytes would hold it otherwise, and a few stalled streams would
// starve all others (RFC 9113 section 5.2.2 leaves this to the receiver).
//
// What is left to the connection (tunnel/connection): the clock, when to PING, TLS, the socket.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/block_pool.h"
#include "http2/flood_guard.h"
#include "http2/stream.h"

struct nghttp2_session;

namespace finhold::http2 {

struct Settings {
  // All in bytes. The window of a stream is the pool's block size, at least least_window.
  std::uint32_t connection_window = 16U << 20;  // at least 65535
  std::uint32_t max_frame = 256U << 10;         // that is accepted, and sent; 16 KiB to 16 MiB - 1
  // RFC 9113 section 6.5.2. What is longer is refused, by 431; what is longer than twice that ends
  // the connection, before it is decoded.
  std::uint32_t max_header_list = 8U << 10;
  std::uint32_t max_streams = 1000;  // at a time; for near: that it opens
  FloodLimits floods;
};

// A CONNECT request. The texts are valid during the call.
struct ConnectRequest {
  std::string_view authority;  // "host:port", as RFC 9110 section 9.3.6 wants it
  std::string_view forwarded;  // RFC 7239: for="[2001:db8::1]:4711"; or empty
  std::string_view token;      // Proxy-Authorization: Bearer; or empty. A secret
};

// On one thread.
class Endpoint {
 public:
  enum class Role : std::uint8_t { near, far };  // the client, the server

  // Told from within feed(), produce(), lose() and cut(), which may not be called from there.
  class Events {
   public:
    // Far: a stream was opened. set_events() now; respond(), now or later; forget() in the end.
    // `request.authority` has the form host:port with a port from 1 to 65535.
    virtual void on_connect(Stream& stream, const ConnectRequest& request) = 0;
    // Far: a request was answered by 400 or more already: it is no CONNECT, or malformed, or too
    // large. Status 0: by RST_STREAM(REFUSED_STREAM), since max_streams is reached; no authority is
    // told then. For the log.
    virtual void on_refused(std::string_view /*authority*/, int /*status*/) {}
    // No stream can be opened any more. Near: streams above `last_stream` are reset
    // (refused_stream) now, the others may go on unless `code` is an error.
    virtual void on_goaway(std::int32_t last_stream, ErrorCode code) = 0;
    // The other side's SETTINGS have come: the first ones, before anything else is told, or others.
    virtual void on_settings() {}
    virtual void on_ping_ack(std::uint64_t token) = 0;

   protected:
    ~Events() = default;
  };

  // The other side may send this much on a stream before it has seen any SETTINGS.
  static constexpr std::size_t least_window = 65'536;
  static constexpr std::size_t least_output = 8192;
  static constexpr std::uint64_t reserved_ping = UINT64_MAX;

  // `pool` and `events` outlive it. Requires settings within their ranges.
  Endpoint(Role role, const Settings& settings, base::BlockPool& pool, Events& events);
  Endpoint(const Endpoint&) = delete;
  Endpoint& operator=(const Endpoint&) = delete;
  // Streams that were not forgotten become void, without an event.
  ~Endpoint();

  [[nodiscard]] Role role() const { return role_; }

  // Bytes from the connection. False: failed(). `now` in milliseconds, of any clock that does not
  // go back. Far: of many requests a part is processed, since each may cost far more than its
  // bytes; what is behind them is kept, and processed by the next call.
  bool feed(std::span<const std::byte> bytes, std::uint64_t now);
  // Something was kept: feed() again, with or without bytes, before what comes next from the
  // connection is of interest.
  [[nodiscard]] bool has_unprocessed() const { return !unprocessed_.empty(); }

  // Fills `into` with what there is to send, and returns how much that is; less than all of it only
  // if there is nothing more, or no room for a frame of 4 KiB. Requires least_output bytes; to have
  // large frames it should be larger than max_frame.
  std::size_t produce(std::span<std::byte> into);

  // Whether produce() has something. True at first: the preface.
  [[nodiscard]] bool wants_write() const;

  // Why the connection cannot go on, in words for a log; empty while it can. All streams were reset
  // then, and what produce() still has is the GOAWAY that tells the other side: to be sent if it
  // can be sent at once, then drop the connection.
  [[nodiscard]] std::string_view failed() const { return failed_; }

  // The connection is gone: every open stream is reset (connect_error). produce() has nothing more.
  void lose();

  // This side gives it up: every open stream is reset (connect_error) at both ends, without what it
  // still had to send. What produce() still has says so to the other side, and then GOAWAY.
  void cut();

  // Near. Opens a stream; null: not now, since can_open() is false. Requires texts that fit into
  // 8 KiB together.
  [[nodiscard]] Stream* open(const ConnectRequest& request, Stream::Events& events);
  // False after a GOAWAY, drain() or failure, and while the other side's limit or our own is
  // reached.
  [[nodiscard]] bool can_open() const;

  // Far: the client has shown who it is; before, little is taken from it (FloodLimits). Once, or
  // more often.
  void prove() { guard_.prove(); }

  // Requires a token other than reserved_ping.
  void ping(std::uint64_t token);

  // No new streams; those that are open go on. GOAWAY: of far in two steps, so that no request that
  // is on its way is lost (RFC 9113 section 6.8). The second one follows the answer to a PING that
  // goes out behind the first; or refuse_new(), which is to be called in time, for who answers
  // none.
  void drain();
  // Far, after drain(), once or more: the second GOAWAY now. Requests that come later are dropped.
  void refuse_new();
  // After GOAWAY, ours or theirs: the last stream is closed, and nothing is left to be sent.
  [[nodiscard]] bool finished() const;

  // Streams that were not forgotten, or have still bytes to send.
  [[nodiscard]] std::size_t streams() const { return streams_.size(); }
  // Streams that have not come to an end both ways, for either side.
  [[nodiscard]] std::size_t open_streams() const { return open_; }

  // How often a stream was told something. So that who calls produce() knows whether it did.
  [[nodiscard]] std::uint64_t told() const { return told_; }

 private:
  friend class Stream;
  friend struct Callbacks;

  // What arrives of a request, until its header block is complete.
  struct Incoming {
    std::string method, authority, forwarded, token;  // far
    std::string proxy_status;                         // near
    std::size_t size = 0;                             // RFC 9113 section 6.5.2
    int status = 0;                                   // near: of the answer
    bool token_twice = false;
    bool waits = false;  // far: after its first field, for the next feed()
  };

  void submit_settings();
  void fail(std::string_view reason, ErrorCode code);
  void note(int result);
  void process(std::span<const std::byte> bytes);
  void count_early_reset();
  void count_provoked_reset();
  void count_wrong_token();
  std::size_t pump(std::span<std::byte> into);
  void put(std::span<const std::byte> bytes);
  [[nodiscard]] std::size_t space() const { return control_.empty() ? into_.size() : 0; }
  bool submit_resets(bool all);
  void after();
  void bury();
  void abandon_streams(ErrorCode code);
  void give_up_queued();
  void due(Stream& stream, unsigned what);
  void tell(Stream& stream);
  void closed(Stream& stream, ErrorCode code);
  Stream& add_stream(Stream::Events* events);
  void discard(Stream& stream);
  void remove(Stream& stream);
  void request_arrived(std::int32_t id);
  void goaway_sent();
  void refuse(std::int32_t id, int status);

  Role role_;
  Settings settings_;
  base::BlockPool* pool_;
  Events* events_;
  nghttp2_session* session_ = nullptr;
  FloodGuard guard_;
  std::vector<std::unique_ptr<Stream>> streams_;
  std::vector<Stream*> due_;        // that have something to be told
  std::vector<Stream*> discarded_;  // to be destroyed when no callback is on the stack
  std::vector<Stream*> resetting_;  // whose RST_STREAM waits for their bytes
  std::size_t open_ = 0;            // streams that nghttp2 knows
  std::vector<std::byte> unprocessed_;
  std::size_t unprocessed_begin_ = 0;
  int requests_ = 0;                // that have begun in this call of feed()
  std::vector<std::byte> control_;  // what produce() has to give first: whole frames, no DATA
  std::size_t control_begin_ = 0;
  std::size_t requests_waiting_ = 0;  // near: bytes of requests in control_
  std::span<std::byte> into_;         // during produce(): what is still free
  std::string failed_;
  ErrorCode failed_code_ = ErrorCode::no_error;
  Incoming incoming_;
  std::uint64_t now_ = 0;
  std::uint64_t told_ = 0;
  bool paused_ = false;    // nghttp2 has DATA that did not fit
  bool broken_ = false;    // nghttp2 cannot go on: not even a GOAWAY
  bool busy_ = false;      // in feed(), produce(), lose() or cut()
  bool unusable_ = false;  // after a failure, or lost: nghttp2 is not called any more
  bool draining_ = false;
  bool refusing_ = false;  // far: the second GOAWAY is submitted
  bool goaway_received_ = false;
};

}  // namespace finhold::http2
