#include "relay/log_rate_limit.h"

#include <doctest/doctest.h>

using finhold::relay::LogRateLimit;

TEST_CASE("a hundred lines at once, then ten a second, and each tells how many were left out") {
  LogRateLimit limit;
  const finhold::core::Instant start = 1'000'000;
  for (int i = 0; i < 100; ++i) CHECK(limit.take(start) == 0U);
  for (int i = 0; i < 7; ++i) CHECK_FALSE(limit.take(start + 99).has_value());
  CHECK(limit.take(start + 100) == 7U);
  CHECK_FALSE(limit.take(start + 199).has_value());
  CHECK(limit.take(start + 200) == 1U);
  // Quiet time is saved up to a hundred lines.
  for (int i = 0; i < 100; ++i) CHECK(limit.take(start + 1'000'000) == 0U);
  CHECK_FALSE(limit.take(start + 1'000'000).has_value());
}
