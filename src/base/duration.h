// Durations and sizes as people write them: "5s", "2h4m", "250ms", "never", "256KiB".
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace finhold::base {

using Milliseconds = std::chrono::milliseconds;

// A duration that may be "never" (no value).
using Limit = std::optional<Milliseconds>;

// A sum of whole numbers with the units h, m, s, ms, largest first, each at most once: "5s",
// "2h4m", "0s". At most ten years. The mistake says what is allowed.
Result<Milliseconds, Mistake> parse_duration(std::string_view text);

// A duration, or "never".
Result<Limit, Mistake> parse_limit(std::string_view text);

// A whole number of bytes with an optional unit B, KiB, MiB, GiB (powers of 1024). At most 1 TiB.
Result<std::uint64_t, Mistake> parse_size(std::string_view text);

// What parse_duration reads back as the same value: "2h4m", "0s".
std::string format_duration(Milliseconds duration);

// format_duration, or "never".
std::string format_limit(Limit limit);

// The largest unit that divides it: "256KiB".
std::string format_size(std::uint64_t bytes);

}  // namespace finhold::base
