#include "tunnel/strangers.h"

#include <algorithm>

#include "tunnel/far_connection.h"

namespace finhold::tunnel {
namespace {

// TCP, TLS, SETTINGS and the first request of a near end far away are sooner.
constexpr net::Instant slow_after_ms = 1000;

// Of a source that has more than that, and than a quarter of the places, one goes at once when
// others come.
constexpr std::size_t many_of_one_source = 16;

// Of those that had their time the oldest so many are looked at.
constexpr std::size_t most_looked_at = 1024;

}  // namespace

void Strangers::add(FarConnection& near_end) {
  Place& place = near_end.place_of_stranger;
  place.source = near_end.source();
  List& its = of_source_[place.source];
  place.in_all = all_.insert(all_.end(), &near_end);
  place.in_source = its.insert(its.end(), &near_end);
  place.stands = true;
}

void Strangers::remove(FarConnection& near_end) {
  Place& place = near_end.place_of_stranger;
  if (!place.stands) return;
  place.stands = false;
  all_.erase(place.in_all);
  const auto its = of_source_.find(place.source);
  its->second.erase(place.in_source);
  if (its->second.empty()) of_source_.erase(its);
}

FarConnection* Strangers::that_gives_way(std::size_t places, net::Instant now) const {
  if (all_.empty()) return nullptr;
  const auto busiest = std::max_element(
      of_source_.begin(), of_source_.end(),
      [](const auto& one, const auto& two) { return one.second.size() < two.second.size(); });
  if (busiest->second.size() > std::max(places / 4, many_of_one_source)) {
    const auto not_ready =
        std::find_if(busiest->second.begin(), busiest->second.end(),
                     [](const FarConnection* each) { return !each->was_ready(); });
    return not_ready != busiest->second.end() ? *not_ready : busiest->second.front();
  }
  FarConnection* ready = nullptr;
  std::size_t looked_at = 0;
  for (FarConnection* each : all_) {
    if (now < each->accepted_at() + slow_after_ms || ++looked_at > most_looked_at) break;
    if (each->waits_for_us()) continue;
    if (!each->was_ready()) return each;
    if (ready == nullptr) ready = each;
  }
  return ready;
}

}  // namespace finhold::tunnel
