// What the sessions of a route have done and are doing, in numbers. Plain values without a thread:
// each worker counts for itself, when a session ends and when somebody asks, never while bytes
// move; whoever asks adds them up.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "core/ending.h"
#include "core/fin_policy.h"
#include "net/loop.h"

namespace finhold::relay {

// How many things took how long.
class Times {
 public:
  // Milliseconds, each the longest time of its bucket; one bucket more takes what is longer.
  static constexpr std::array<net::Instant, 14> bounds{1,      5,       25,        100,      500,
                                                       1'000,  2'500,   5'000,     10'000,   30'000,
                                                       60'000, 300'000, 1'800'000, 7'200'000};

  void add(net::Instant milliseconds);
  Times& operator+=(const Times& other);

  [[nodiscard]] std::uint64_t in_bucket(std::size_t bucket) const { return buckets_[bucket]; }
  [[nodiscard]] std::uint64_t count() const;
  [[nodiscard]] net::Instant sum() const { return sum_; }

 private:
  std::array<std::uint64_t, bounds.size() + 1> buckets_{};
  net::Instant sum_ = 0;
};

struct RouteCounts {
  // Since the start. But for the endings, sessions that are still open have their share in them.
  std::array<std::uint64_t, core::ending_count> endings{};  // by core::Ending
  std::array<std::uint64_t, 2> bytes{};                     // by base::Flow: that the sink took
  // By base::Flow and core::Release: FINs that were sent on, so none of Release::none.
  std::array<std::array<std::uint64_t, core::release_count>, 2> fins{};
  Times holds;  // of FINs that were held and are not any more
  Times dials;  // to the server, until it was reached or given up

  // Now.
  std::uint64_t sessions = 0;
  std::uint64_t dialing = 0;            // of these: no server yet
  std::uint64_t half_closed = 0;        // of these: one flow has ended, the other goes on
  std::array<std::uint64_t, 2> held{};  // by base::Flow: FINs that are held back

  RouteCounts& operator+=(const RouteCounts& other);
};

}  // namespace finhold::relay
