#include "net/resolver.h"

#include <cstddef>
#include <utility>

namespace finhold::net {

Resolver::~Resolver() { LookUpThreads::forget(*this); }

int Resolver::resolve(const base::HostPort& host, Waiter& waiter) {
  std::string key = host.text();
  if (const auto known = look_ups_.find(key); known != look_ups_.end()) {
    known->second.push_back(&waiter);
    return 0;
  }
  auto look_up = std::make_unique<LookUp>();
  look_up->host = host;
  look_up->asker = this;
  const auto waiters = look_ups_.emplace(std::move(key), Waiters{&waiter}).first;
  const int failure = LookUpThreads::ask(std::move(look_up));
  if (failure != 0) look_ups_.erase(waiters);
  return failure;
}

void Resolver::forget(const Waiter& waiter) {
  for (auto& [key, waiters] : look_ups_) {
    for (Waiter*& each : waiters) {
      if (each == &waiter) each = nullptr;
    }
  }
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
  const auto look_up = look_ups_.find(done.host.text());
  Waiters& waiters = look_up->second;
  std::size_t next = 0;
  while (next < waiters.size()) {
    Waiter* const told = std::exchange(waiters[next], nullptr);
    ++next;
    if (told != nullptr) told->on_resolved(done.addresses, done.error);
  }
  look_ups_.erase(look_up);
}

}  // namespace finhold::net
