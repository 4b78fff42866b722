#include "net/resolver.h"

#include <cerrno>
#include <new>
#include <utility>

#include "base/check.h"

namespace finhold::net {

Resolver::~Resolver() { LookUpThreads::forget(*this); }

// No host name has a space.
std::string Resolver::key_of(const base::HostPort& host, const std::string& owner) {
  return host.text() + " " + owner;
}

// Without memory too there is an answer: a look-up that nobody makes would be waited for by all who
// ask for that name.
int Resolver::begin(WaitingFor& waited_for, const base::HostPort& host,
                    const std::string& owner) try {
  auto look_up = std::make_unique<LookUp>();
  look_up->host = waited_for.host = host;
  look_up->owner = waited_for.owner = owner;
  look_up->asker = this;
  waited_for.waiters.reserve(1);
  return LookUpThreads::ask(std::move(look_up));
} catch (const std::bad_alloc&) {
  return ENOMEM;
}

int Resolver::resolve(const base::HostPort& host, Waiter& waiter, const std::string& owner) {
  const auto [place, is_new] = look_ups_.try_emplace(key_of(host, owner));
  WaitingFor& waited_for = place->second;
  if (is_new) {
    if (const int failure = begin(waited_for, host, owner); failure != 0) {
      look_ups_.erase(place);
      return failure;
    }
  }
  waited_for.waiters.push_back(&waiter);
  waiter.waits_for_ = &waited_for;
  waiter.place_ = waited_for.waiters.size() - 1;
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

// Those of one name do not wait for those of another.
void Resolver::on_wake() {
  std::vector<std::unique_ptr<LookUp>> done;
  {
    const std::lock_guard lock(mutex_);
    done.swap(done_);
  }
  for (auto& each : done) {
    auto waited_for = look_ups_.extract(key_of(each->host, each->owner));
    if (waited_for.empty()) continue;  // the last one was forgotten meanwhile
    waited_for.mapped().being_told = true;
    answered_.push_back({std::move(waited_for), std::move(each)});
  }
  for (int told = 0; told < told_in_a_turn && !answered_.empty(); ++told) {
    Answered answered = std::move(answered_.front());
    answered_.pop_front();
    if (tell_next(answered)) answered_.push_back(std::move(answered));
  }
  if (!answered_.empty()) wake_.call();
}

// False: there was none left.
bool Resolver::tell_next(Answered& answered) {
  auto& waiters = answered.waited_for.mapped().waiters;
  while (answered.next < waiters.size()) {
    Waiter* const told = std::exchange(waiters[answered.next], nullptr);
    ++answered.next;
    if (told == nullptr) continue;
    told->waits_for_ = nullptr;
    told->on_resolved(answered.answer->addresses, answered.answer->error);
    return true;
  }
  return false;
}

}  // namespace finhold::net
