// Those who wait for one name. tests/integration/operation/test_look_ups.py has the name servers.
#include "net/resolver.h"

#include <algorithm>
#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

#include <doctest/doctest.h>

#include "net/loop.h"
#include "net/poller.h"
#include "net/timers.h"
#include "unit/awaiting.h"

namespace finhold::tests {
namespace {

// Another one who wants a turn of the loop, from the moment at which the first waiter is told.
struct Other final : net::Wake::Listener {
  explicit Other(net::Loop& loop) : wake(loop, *this) {}
  void on_wake() override { had_turn = true; }

  net::Wake wake;
  bool had_turn = false;
};

struct Waiters {
  struct One final : net::Resolver::Waiter {
    explicit One(Waiters& of) : all(of) {}
    void on_resolved(const std::vector<base::Address>& addresses, int error) override {
      CHECK(error == 0);
      CHECK_FALSE(addresses.empty());
      CHECK(addresses.size() <= net::LookUp::most_addresses);
      waits = false;
      all.told(*this);
    }

    Waiters& all;
    bool waits = false;
  };

  explicit Waiters(std::size_t count) {
    net::LookUpThreads::begin();
    for (std::size_t i = 0; i < count; ++i) {
      ones.push_back(std::make_unique<One>(*this));
      wait(*ones.back());
    }
  }
  void wait(One& one) {
    REQUIRE(resolver.resolve({"localhost", 1}, one) == 0);
    one.waits = true;
  }
  void told(One& one) {
    if (tellings++ == 0) other.wake.call();
    if (!other.had_turn) ++before_the_other;
    if (on_told) on_told(one);
  }
  void until_all_are_told() {
    REQUIRE(awaiting.until([&] {
      return std::none_of(ones.begin(), ones.end(), [](const auto& one) { return one->waits; });
    }));
  }

  net::Loop loop;
  net::Poller poller{loop};
  net::Timers timers{loop};
  Awaiting awaiting{loop, poller, timers};
  Other other{loop};
  net::Resolver resolver{loop};
  std::vector<std::unique_ptr<One>> ones;
  std::size_t tellings = 0;
  std::size_t before_the_other = 0;
  std::function<void(One&)> on_told;
};

}  // namespace

// Each may be a session that is opened: a name that thousands wait for is no reason to let others
// wait.
TEST_CASE("resolver: of many who wait for a name a part is told in a turn, and all in the end") {
  Waiters waiters(500);
  waiters.until_all_are_told();
  CHECK(waiters.tellings == 500);
  CHECK(waiters.before_the_other <= 32);
}

TEST_CASE("resolver: who is forgotten while others are told is not, and who asks anew is") {
  Waiters waiters(100);
  std::size_t forgotten = 0;
  waiters.on_told = [&](Waiters::One& one) {
    Waiters::One& last = *waiters.ones.back();
    if (waiters.tellings == 1) waiters.wait(one);
    if (!last.waits || &last == &one) return;
    waiters.resolver.forget(last);
    last.waits = false;
    ++forgotten;
  };
  waiters.until_all_are_told();
  CHECK(forgotten == 1);
  CHECK(waiters.tellings == 100);
}

}  // namespace finhold::tests
