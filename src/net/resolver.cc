#include "net/resolver.h"

#include <utility>

#include "base/check.h"

namespace finhold::net {

Resolver::~Resolver() { LookUpThreads::forget(*this); }

// No host name has a space.
std::string Resolver::key_of(const base::HostPort& host, const std::string& owner) {
  return host.text() + " " + owner;
}

int Resolver::resolve(const base::HostPort& host, Waiter& waiter, const std::string& owner) {
  const auto [place, is_new] = look_ups_.try_emplace(key_of(host, owner));
  WaitingFor& waited_for = place->second;
  if (is_new) {
    auto look_up = std::make_unique<LookUp>();
    look_up->host = waited_for.host = host;
    look_up->owner = waited_for.owner = owner;
    look_up->asker = this;
    if (const int failure = LookUpThreads::ask(std::move(look_up)); failure != 0) {
      look_ups_.erase(place);
      return failure;
    }
  }
  waiter.waits_for_ = &waited_for;
  waiter.place_ = waited_for.waiters.size();
  waited_for.waiters.push_back(&waiter);
  return 0;
}

void Resolver::forget(Waiter& waiter) {
  WaitingFor* const waited_for = std::exchange(waiter.waits_for_, nullptr);
  FINHOLD_CHECK(waited_for != nullptr);
  auto& waiters = waited_for->waiters;
  if (waited_for->being_told) {
    waiters[waiter.place_] = nullptr;
    return;
  }
  waiters.back()->place_ = waiter.place_;
  waiters[waiter.place_] = waiters.back();
  waiters.pop_back();
  if (!waiters.empty()) return;
  LookUpThreads::withdraw(*this, waited_for->host, waited_for->owner);
  look_ups_.erase(key_of(waited_for->host, waited_for->owner));
}

// On another thread.
void Resolver::on_looked_up(std::unique_ptr<LookUp> done) {
  {
    const std::lock_guard lock(mutex_);
    done_.push_back(std::move(done));
  }
  wake_.call();
}

void Resolver::on_wake() {
  std::vector<std::unique_ptr<LookUp>> done;
  {
    const std::lock_guard lock(mutex_);
    done.swap(done_);
  }
  for (const auto& each : done) tell(*each);
}

// The waiters stay in the map while they are told, for forget(); and one that asks anew for the
// same name joins them.
void Resolver::tell(const LookUp& done) {
  const auto look_up = look_ups_.find(key_of(done.host, done.owner));
  if (look_up == look_ups_.end()) return;  // the last one was forgotten meanwhile
  WaitingFor& waited_for = look_up->second;
  waited_for.being_told = true;
  std::size_t next = 0;
  while (next < waited_for.waiters.size()) {
    Waiter* const told = std::exchange(waited_for.waiters[next], nullptr);
    ++next;
    if (told == nullptr) continue;
    told->waits_for_ = nullptr;
    told->on_resolved(done.addresses, done.error);
  }
  look_ups_.erase(look_up);
}

}  // namespace finhold::net
