// A limit on log lines that strangers cause, by merely connecting: else they could push others out
// of the log's queue (base/log.h). The ending line of a session is not limited.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>

#include "core/deadlines.h"

namespace finhold::relay {

// 10 lines a second, and 100 at once after 10 quiet seconds. One for each worker, on its thread.
class LogRateLimit {
 public:
  // Whether a line may be written now; then, how many were left out since the last one.
  std::optional<std::uint64_t> take(core::Instant now) {
    const core::Instant gained = (now - counted_until_) / ms_per_line;
    counted_until_ += gained * ms_per_line;
    lines_ = std::min(most_lines, lines_ + gained);
    if (lines_ == 0) {
      ++left_out_;
      return std::nullopt;
    }
    --lines_;
    const std::uint64_t left_out = left_out_;
    left_out_ = 0;
    return left_out;
  }

 private:
  static constexpr core::Instant ms_per_line = 100;
  static constexpr std::uint64_t most_lines = 100;

  core::Instant counted_until_ = 0;
  std::uint64_t lines_ = most_lines;
  std::uint64_t left_out_ = 0;
};

}  // namespace finhold::relay
