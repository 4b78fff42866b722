#include "relay/route_counts.h"

#include <algorithm>
#include <numeric>

namespace finhold::relay {
namespace {

template <std::size_t size>
void add_each(std::array<std::uint64_t, size>& to, const std::array<std::uint64_t, size>& more) {
  for (std::size_t i = 0; i < size; ++i) to[i] += more[i];
}

}  // namespace

void Times::add(net::Instant milliseconds) {
  const auto bucket = std::lower_bound(bounds.begin(), bounds.end(), milliseconds);
  ++buckets_[static_cast<std::size_t>(bucket - bounds.begin())];
  sum_ += milliseconds;
}

Times& Times::operator+=(const Times& other) {
  add_each(buckets_, other.buckets_);
  sum_ += other.sum_;
  return *this;
}

std::uint64_t Times::count() const {
  return std::accumulate(buckets_.begin(), buckets_.end(), std::uint64_t{0});
}

RouteCounts& RouteCounts::operator+=(const RouteCounts& other) {
  add_each(endings, other.endings);
  add_each(bytes, other.bytes);
  for (std::size_t flow = 0; flow < fins.size(); ++flow) add_each(fins[flow], other.fins[flow]);
  holds += other.holds;
  dials += other.dials;
  sessions += other.sessions;
  dialing += other.dialing;
  half_closed += other.half_closed;
  add_each(held, other.held);
  return *this;
}

}  // namespace finhold::relay
