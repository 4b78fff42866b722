// How long to wait before the next try: twice as long after each failure, and by chance less, so
// that many near ends that lost the same far end do not all come back in the same moment.
#pragma once

#include <algorithm>
#include <cstdint>
#include <random>

#include "net/loop.h"

namespace finhold::tunnel {

class Backoff {
 public:
  static constexpr net::Instant first_ms = 100;
  static constexpr net::Instant longest_ms = 10'000;

  explicit Backoff(std::uint32_t seed) : random_(seed) {}

  // Something has failed: how long to wait.
  net::Instant failed() {
    const net::Instant longest = next_ms_;
    next_ms_ = std::min(2 * next_ms_, longest_ms);
    ++failures_;
    return std::uniform_int_distribution<net::Instant>(longest / 2, longest)(random_);
  }

  void succeeded() {
    next_ms_ = first_ms;
    failures_ = 0;
  }

  // Since something has succeeded.
  [[nodiscard]] std::uint32_t failures() const { return failures_; }

 private:
  std::minstd_rand random_;
  net::Instant next_ms_ = first_ms;
  std::uint32_t failures_ = 0;
};

}  // namespace finhold::tunnel
