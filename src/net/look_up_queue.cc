#include "net/look_up_queue.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/check.h"

namespace finhold::net {

void KnownNames::note(const std::string& name, const std::string& owner, bool answered_at_once) {
  const auto place = places_.find(name);
  if (!answered_at_once) {
    if (place != places_.end()) forget(name);
    return;
  }
  if (place != places_.end()) {
    Names& names = place->second.owner->second;
    names.splice(names.begin(), names, place->second.name);
    return;
  }
  make_room(owner);  // first: an owner goes with its last name
  const auto its = owners_.try_emplace(owner).first;
  its->second.push_front(name);
  places_.emplace(name, Place{its, its->second.begin()});
}

void KnownNames::forget(const std::string& name) {
  const auto place = places_.find(name);
  const auto owner = place->second.owner;
  owner->second.erase(place->second.name);
  places_.erase(place);
  if (owner->second.empty()) owners_.erase(owner);
}

void KnownNames::make_room(const std::string& owner) {
  const auto its = owners_.find(owner);
  // The names of the configuration are few.
  const std::size_t most_of_owner = owner.empty() ? most : most_of_one;
  if (its != owners_.end() && its->second.size() >= most_of_owner) {
    forget(std::string(its->second.back()));
  } else if (places_.size() >= most) {
    const auto has_most = std::max_element(
        owners_.begin(), owners_.end(),
        [](const auto& one, const auto& two) { return one.second.size() < two.second.size(); });
    forget(std::string(has_most->second.back()));
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
  waiting_.push_back({std::move(look_up), place, lane});
  ++place->second.waiting;
  return 0;
}

// Of the threads; one at least.
std::size_t LookUpQueue::part(std::size_t sixteenths) const {
  return std::max<std::size_t>(threads_ * sixteenths / 16, 1);
}

bool LookUpQueue::is_running(const std::string& name) const {
  return std::any_of(running_.begin(), running_.end(),
                     [&](const Place& place) { return place.look_up->host.host == name; });
}

bool LookUpQueue::may_start(const Place& place) const {
  std::size_t of_near_ends = 0;
  std::size_t new_of_near_ends = 0;
  std::size_t new_ones = 0;
  for (const Place& each : running_) {
    if (each.of_near_end()) ++of_near_ends;
    if (each.lane == unknown) ++new_ones;
    if (each.of_near_end() && each.lane == unknown) ++new_of_near_ends;
  }
  const bool is_new = place.lane == unknown;
  if (is_new && new_ones >= part(12)) return false;
  if (place.of_near_end()) {
    const auto& running = place.owner->second.running;
    if (running[known] + running[unknown] >= part(2) || of_near_ends >= threads_ - threads_ / 4) {
      return false;
    }
    if (is_new && (running[unknown] >= part(1) || new_of_near_ends >= part(8))) return false;
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
  known_.note(done.host.host, done.owner, at_once);
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
