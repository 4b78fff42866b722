// What one side of an HTTP/2 connection may do to the other that costs the other more: the known
// floods, each with a limit (RFC 9113 section 10.5). Looks at frame headers only and without
// nghttp2, so it sees those too that nghttp2 drops in silence (frames on closed streams, PRIORITY,
// unknown types), and it sees them before any work is done for them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "http2/error_code.h"

namespace finhold::http2 {

// A bucket of tokens: `burst` at once, and that many again each second.
struct FloodLimit {
  std::uint32_t burst;
  std::uint32_t per_second;
};

struct FloodLimits {
  FloodLimit pings = {200, 50};      // CVE-2019-9512
  FloodLimit settings = {20, 2};     // CVE-2019-9515
  FloodLimit resets = {4000, 2000};  // beside one for each stream
  // FloodGuard::early_reset(). Programs behind a near end may give up as fast as they connect, and
  // a tunnel that is lost for that takes the sessions of all others with it. So this is more than
  // any worker could answer; what it costs is bounded by the time that a connection has in a turn.
  FloodLimit early_resets = {40'000, 20'000};
  FloodLimit provoked_resets = {2000, 500};  // FloodGuard::provoked_reset()
  FloodLimit wrong_tokens = {40, 10};
  // Of a client that has not shown who it is (FloodGuard::prove()): all that it sends, in bytes,
  // and its requests. What it makes us do in vain costs it next to nothing otherwise: a byte may
  // stand for a field of 4 KiB, or throw one out of HPACK's table.
  FloodLimit stranger_bytes = {32U << 10, 1U << 10};
  FloodLimit stranger_requests = {64, 10};
  // Those that the bytes sent have drawn come on top.
  FloodLimit window_updates = {4000, 1000};
  FloodLimit empty_data = {100, 20};   // CVE-2019-9518
  FloodLimit priorities = {500, 100};  // CVE-2019-9513
  // Header blocks of a server, beside four for each request: an interim answer is one, and so is
  // what comes on streams that are over.
  FloodLimit answers = {100, 20};
  FloodLimit others = {100, 20};  // GOAWAY, PUSH_PROMISE and unknown types
  // Of one header block: bytes in HEADERS and CONTINUATION together, and CONTINUATION frames
  // (CVE-2024-28182). Decoded it is bounded by Settings::max_header_list.
  std::uint32_t header_block = 16U << 10;
  std::uint32_t continuations = 8;
};

// Which streams a client knows to be over, so that what it still sends on them is an error of its
// own, and nothing that was on its way: those that it has ended or reset itself (RFC 9113 section
// 5.1), and those below one that it has opened (section 5.1.1). nghttp2 drops such frames in
// silence. What is remembered is bounded: the latest of either.
class ClosedStreams {
 public:
  void opened(std::uint32_t stream);  // or HEADERS on one that is open
  void closed(std::uint32_t stream);
  [[nodiscard]] bool is_closed(std::uint32_t stream) const;
  [[nodiscard]] bool was_passed(std::uint32_t stream) const {
    return stream > passed_after_ && stream < passed_before_;
  }

 private:
  std::array<std::uint32_t, 16> closed_{};
  std::size_t next_ = 0;
  std::uint32_t last_ = 0;  // that was opened
  std::uint32_t passed_after_ = 0;
  std::uint32_t passed_before_ = 0;
};

class FloodGuard {
 public:
  // `of_client`: what is looked at comes from a client, and begins with its connection preface
  // (RFC 9113 section 3.4). `max_frame`: what is longer is left to nghttp2.
  FloodGuard(const FloodLimits& limits, std::uint32_t max_frame, bool of_client);

  // To be shown every byte that arrives, once. A reason (a string literal) when a limit is passed,
  // or when a client sends what nghttp2 would drop though it is an error: the connection is to be
  // dropped, with code(). `now`: milliseconds of a clock that never goes back.
  const char* look(std::span<const std::byte> bytes, std::uint64_t now);
  [[nodiscard]] ErrorCode code() const { return code_; }

  // A stream was cancelled before it was answered, so the work for it was in vain (rapid reset,
  // CVE-2023-44487). At the time of the last look().
  const char* early_reset();

  // The other side made us cancel a stream by an error of its own (CVE-2025-8671).
  const char* provoked_reset();

  // A request was refused for its token: somebody may be guessing.
  const char* wrong_token();

  // Far: a request has begun to arrive, of a client that has not shown who it is.
  const char* request_of_stranger();
  [[nodiscard]] bool knows_other_side() const { return !is_stranger_; }
  // The client has shown who it is: by its certificate, by the token, or because nothing is asked
  // for.
  void prove() { is_stranger_ = false; }

  // Near: a request was sent, and draws answers, and at its end a reset perhaps.
  void sent_request();

  // A DATA frame was sent; the other side may answer it by WINDOW_UPDATE, and not all are sparing.
  void sent_data(std::size_t bytes);

 private:
  enum Kind : std::uint8_t {
    pings,
    settings,
    resets,
    early_resets,
    provoked_resets,
    wrong_tokens,
    stranger_bytes,
    stranger_requests,
    window_updates,
    empty_data,
    priorities,
    answers,
    others,
    kinds
  };
  struct Bucket {
    FloodLimit limit;
    std::uint64_t thousandths;
    std::uint64_t filled;  // when
  };

  const char* frame();
  const char* error_of_client(std::uint32_t type, std::uint32_t flags, std::uint32_t stream);
  void add(Kind kind, std::uint64_t count);
  const char* spend(Kind kind, std::uint64_t count = 1);

  std::array<Bucket, kinds> buckets_;
  ClosedStreams closed_streams_;
  ErrorCode code_ = ErrorCode::enhance_your_calm;
  bool of_client_;
  bool is_stranger_;
  std::uint32_t max_frame_;
  std::uint32_t longest_block_;
  std::uint32_t most_continuations_;
  std::uint64_t now_ = 0;
  std::size_t preface_left_;
  std::size_t skip_ = 0;  // bytes until the next frame header
  std::array<std::byte, 9> header_{};
  std::size_t header_size_ = 0;
  std::uint32_t block_ = 0;
  std::uint32_t continuations_ = 0;
};

}  // namespace finhold::http2
