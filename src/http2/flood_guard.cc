#include "http2/flood_guard.h"

#include <algorithm>
#include <cstring>
#include <string_view>

namespace finhold::http2 {

namespace {

constexpr std::string_view preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
constexpr std::uint64_t token = 1000;  // thousandths

// RFC 9113 section 6; 0x10 is RFC 9218's.
enum FrameType : std::uint8_t {
  data = 0x0,
  headers = 0x1,
  priority = 0x2,
  rst_stream = 0x3,
  settings_frame = 0x4,
  ping = 0x6,
  window_update = 0x8,
  continuation = 0x9,
  priority_update = 0x10,
};
constexpr std::uint8_t end_stream = 0x1;
constexpr std::uint8_t padded = 0x8;

constexpr std::array reasons = {
    "too many PING frames",
    "too many SETTINGS frames",
    "too many RST_STREAM frames",
    "too many streams that were cancelled before they were answered",
    "too many streams with errors",
    "too many wrong tokens",
    "too many bytes without a right token",
    "too many requests without a right token",
    "too many WINDOW_UPDATE frames",
    "too many empty DATA frames",
    "too many PRIORITY frames",
    "too many answers",
    "too many frames of no use",
};

}  // namespace

void ClosedStreams::opened(std::uint32_t stream) {
  if (stream <= last_) return;
  if (stream > last_ + 2) {
    passed_after_ = last_;
    passed_before_ = stream;
  }
  last_ = stream;
}

void ClosedStreams::closed(std::uint32_t stream) {
  closed_[next_] = stream;
  next_ = (next_ + 1) % closed_.size();
}

bool ClosedStreams::is_closed(std::uint32_t stream) const {
  return std::find(closed_.begin(), closed_.end(), stream) != closed_.end();
}

FloodGuard::FloodGuard(const FloodLimits& limits, std::uint32_t max_frame, bool of_client)
    : of_client_(of_client),
      is_stranger_(of_client),
      max_frame_(max_frame),
      longest_block_(limits.header_block),
      most_continuations_(limits.continuations),
      preface_left_(of_client ? preface.size() : 0) {
  static_assert(reasons.size() == kinds);
  const auto bucket = [](FloodLimit limit) { return Bucket{limit, limit.burst * token, 0}; };
  buckets_ = {bucket(limits.pings),           bucket(limits.settings),
              bucket(limits.resets),          bucket(limits.early_resets),
              bucket(limits.provoked_resets), bucket(limits.wrong_tokens),
              bucket(limits.stranger_bytes),  bucket(limits.stranger_requests),
              bucket(limits.window_updates),  bucket(limits.empty_data),
              bucket(limits.priorities),      bucket(limits.answers),
              bucket(limits.others)};
}

const char* FloodGuard::look(std::span<const std::byte> bytes, std::uint64_t now) {
  now_ = now;
  if (is_stranger_) {
    if (const char* reason = spend(stranger_bytes, bytes.size())) return reason;
  }
  if (preface_left_ > 0 && !bytes.empty()) {
    const std::size_t count = std::min(preface_left_, bytes.size());
    const std::string_view awaited = preface.substr(preface.size() - preface_left_, count);
    // What follows another one are no frames. nghttp2 says so.
    if (std::memcmp(bytes.data(), awaited.data(), count) != 0) return nullptr;
    preface_left_ -= count;
    bytes = bytes.subspan(count);
  }
  while (!bytes.empty()) {
    if (skip_ > 0) {
      const std::size_t count = std::min(skip_, bytes.size());
      skip_ -= count;
      bytes = bytes.subspan(count);
      continue;
    }
    const std::size_t count = std::min(header_.size() - header_size_, bytes.size());
    std::memcpy(header_.data() + header_size_, bytes.data(), count);
    header_size_ += count;
    bytes = bytes.subspan(count);
    if (header_size_ < header_.size()) break;
    header_size_ = 0;
    if (const char* reason = frame()) return reason;
  }
  return nullptr;
}

const char* FloodGuard::frame() {
  const auto at = [this](std::size_t index) {
    return std::to_integer<std::uint32_t>(header_[index]);
  };
  const std::uint32_t length = at(0) << 16 | at(1) << 8 | at(2);
  const std::uint32_t flags = at(4);
  skip_ = length;
  if (length > max_frame_) return nullptr;
  if (of_client_) {
    constexpr std::uint32_t reserved_bit = 0x7F;
    const std::uint32_t stream = (at(5) & reserved_bit) << 24 | at(6) << 16 | at(7) << 8 | at(8);
    if (const char* reason = error_of_client(at(3), flags, stream)) return reason;
  }
  switch (at(3)) {
    case data: {
      // Empty ones are of use for the end only; one octet of a padded frame is the Pad Length.
      const bool empty = length <= ((flags & padded) != 0 ? 1U : 0U);
      return empty && (flags & end_stream) == 0 ? spend(empty_data) : nullptr;
    }
    case headers:
      continuations_ = 0;
      block_ = length;
      if (block_ > longest_block_) return "a header block that is too long";
      return of_client_ ? nullptr : spend(answers);
    case continuation:
      if (++continuations_ > most_continuations_) return "too many CONTINUATION frames";
      block_ += length;
      return block_ > longest_block_ ? "a header block that is too long" : nullptr;
    case priority:
    case priority_update:
      return spend(priorities);
    case rst_stream:
      return spend(resets);
    case settings_frame:
      return spend(settings);
    case ping:
      return spend(pings);
    case window_update:
      return spend(window_updates);
    default:
      return spend(others);
  }
}

const char* FloodGuard::error_of_client(std::uint32_t type, std::uint32_t flags,
                                        std::uint32_t stream) {
  const auto error = [this](ErrorCode code, const char* reason) {
    code_ = code;
    return reason;
  };
  if (stream == 0) {
    return type == priority ? error(ErrorCode::protocol_error, "PRIORITY of no stream") : nullptr;
  }
  const bool is_message = type == headers || type == data;
  if (is_message && closed_streams_.is_closed(stream)) {
    return error(ErrorCode::stream_closed, "a frame on a stream that it has closed itself");
  }
  if (type == headers) {
    if (closed_streams_.was_passed(stream)) {
      return error(ErrorCode::protocol_error, "a stream below another that was opened before");
    }
    closed_streams_.opened(stream);
    add(resets, 1);
  }
  const bool ends = is_message && (flags & end_stream) != 0;
  if (ends || type == rst_stream) closed_streams_.closed(stream);
  return nullptr;
}

const char* FloodGuard::early_reset() { return spend(early_resets); }

const char* FloodGuard::provoked_reset() { return spend(provoked_resets); }

const char* FloodGuard::wrong_token() { return spend(wrong_tokens); }

const char* FloodGuard::request_of_stranger() { return spend(stranger_requests); }

// A receiver may give window back after every few hundred bytes, for the stream and for the
// connection, and only some wait for half of the window.
void FloodGuard::sent_data(std::size_t bytes) { add(window_updates, 4 + bytes / 256); }

void FloodGuard::sent_request() {
  constexpr std::uint64_t answers_of_request = 4;
  add(answers, answers_of_request);
  add(resets, 1);
}

void FloodGuard::add(Kind kind, std::uint64_t count) {
  Bucket& bucket = buckets_[kind];
  const std::uint64_t most = (std::uint64_t{bucket.limit.burst} + 100'000) * token;
  bucket.thousandths = std::min(most, bucket.thousandths + count * token);
}

const char* FloodGuard::spend(Kind kind, std::uint64_t count) {
  Bucket& bucket = buckets_[kind];
  const std::uint64_t full = bucket.limit.burst * token;
  if (now_ > bucket.filled) {
    // A day at most, so that nothing overflows.
    const std::uint64_t passed = std::min<std::uint64_t>(now_ - bucket.filled, 86'400'000);
    const std::uint64_t gained = passed * bucket.limit.per_second;
    if (bucket.thousandths < full) bucket.thousandths = std::min(full, bucket.thousandths + gained);
    bucket.filled = now_;
  }
  if (bucket.thousandths < count * token) return reasons[kind];
  bucket.thousandths -= count * token;
  return nullptr;
}

}  // namespace finhold::http2
