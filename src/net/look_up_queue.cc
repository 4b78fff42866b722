#include "net/look_up_queue.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/check.h"

namespace finhold::net {

void KnownNames::note(const std::string& name, bool answered_at_once) {
  const auto place = places_.find(name);
  if (place != places_.end() && answered_at_once) {
    names_.splice(names_.begin(), names_, place->second);
  } else if (place != places_.end()) {
    const auto former = place->second;
    places_.erase(place);
    names_.erase(former);
  } else if (answered_at_once) {
    if (names_.size() == most) {
      places_.erase(names_.back());
      names_.pop_back();
    }
    names_.push_front(name);
    places_.emplace(names_.front(), names_.begin());
  }
}

int LookUpQueue::add(std::unique_ptr<LookUp> look_up) {
  const Lane lane = known_.contains(look_up->host.host) ? known : unknown;
  const bool of_near_end = !look_up->owner.empty();
  // No host name has a space.
  std::string owner = of_near_end ? " " + look_up->owner : look_up->host.host;
  if (of_near_end) {
    const auto in_lane = std::count_if(waiting_.begin(), waiting_.end(), [&](const Place& place) {
      return place.lane == lane && place.of_near_end();
    });
    const auto former = owners_.find(owner);
    if (static_cast<std::size_t>(in_lane) >= most_waiting ||
        (former != owners_.end() && former->second.waiting >= most_waiting_of_one)) {
      return EBUSY;
    }
  }
  const auto [place, is_new] = owners_.try_emplace(std::move(owner));
  if (is_new && of_near_end) place->second.turn = ++turns_;
  ++place->second.waiting;
  waiting_.push_back({std::move(look_up), place, lane});
  return 0;
}

// Of the threads; one at least.
std::size_t LookUpQueue::part(std::size_t quarters) const {
  return std::max<std::size_t>(threads_ * quarters / 4, 1);
}

bool LookUpQueue::is_running(const std::string& name) const {
  return std::any_of(running_.begin(), running_.end(),
                     [&](const Place& place) { return place.look_up->host.host == name; });
}

bool LookUpQueue::may_start(const Place& place) const {
  if (place.of_near_end() && place.owner->second.running[place.lane] >= part(1)) return false;
  if (place.lane == unknown) {
    std::size_t new_ones = 0;
    std::size_t of_near_ends = 0;
    for (const Place& each : running_) {
      if (each.lane != unknown) continue;
      ++new_ones;
      if (each.of_near_end()) ++of_near_ends;
    }
    if (new_ones >= part(3) || (place.of_near_end() && of_near_ends >= part(2))) return false;
  }
  return !is_running(place.look_up->host.host);
}

LookUp* LookUpQueue::start() {
  if (running_.size() >= threads_) return nullptr;
  auto next = waiting_.end();
  for (auto each = waiting_.begin(); each != waiting_.end(); ++each) {
    if (next != waiting_.end() && each->owner->second.turn >= next->owner->second.turn) continue;
    if (may_start(*each)) next = each;
  }
  if (next == waiting_.end()) return nullptr;
  Owner& owner = next->owner->second;
  if (next->of_near_end()) owner.turn = ++turns_;
  --owner.waiting;
  ++owner.running[next->lane];
  running_.push_back(std::move(*next));
  waiting_.erase(next);
  return running_.back().look_up.get();
}

LookUpQueue::LookUps LookUpQueue::finish(LookUp& done, bool at_once) {
  const auto place = std::find_if(running_.begin(), running_.end(),
                                  [&](const Place& each) { return each.look_up.get() == &done; });
  FINHOLD_CHECK(place != running_.end());
  known_.note(done.host.host, at_once);
  LookUps answered;
  for (Place& each : waiting_) {
    if (each.look_up->host.host != done.host.host) continue;
    for (const base::Address& address : done.addresses) {
      each.look_up->addresses.push_back(address.with_port(each.look_up->host.port));
    }
    each.look_up->error = done.error;
    --each.owner->second.waiting;
    answered.push_back(std::move(each.look_up));
    forget_idle(each.owner);
  }
  std::erase_if(waiting_, [](const Place& each) { return each.look_up == nullptr; });
  --place->owner->second.running[place->lane];
  const auto owner = place->owner;
  if (done.asker != nullptr) answered.push_back(std::move(place->look_up));
  running_.erase(place);
  forget_idle(owner);
  return answered;
}

template <typename Is>
void LookUpQueue::drop(const Is& is) {
  for (Place& each : waiting_) {
    if (!is(*each.look_up)) continue;
    --each.owner->second.waiting;
    each.look_up.reset();
    forget_idle(each.owner);
  }
  std::erase_if(waiting_, [](const Place& each) { return each.look_up == nullptr; });
  for (Place& each : running_) {
    if (is(*each.look_up)) each.look_up->asker = nullptr;
  }
}

void LookUpQueue::withdraw(const LookUp::Asker& asker, const base::HostPort& host,
                           std::string_view owner) {
  drop([&](const LookUp& each) {
    return each.asker == &asker && each.host == host && each.owner == owner;
  });
}

void LookUpQueue::forget(const LookUp::Asker& asker) {
  drop([&](const LookUp& each) { return each.asker == &asker; });
}

void LookUpQueue::forget_idle(std::map<std::string, Owner>::iterator owner) {
  const Owner& its = owner->second;
  if (its.waiting == 0 && its.running[known] == 0 && its.running[unknown] == 0) {
    owners_.erase(owner);
  }
}

}  // namespace finhold::net
