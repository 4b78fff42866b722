#include "net/timers.h"

#include <algorithm>
#include <memory>
#include <random>
#include <vector>

#include <doctest/doctest.h>

#include "net/poller.h"

namespace finhold::tests {

namespace {

// Notes when it was told, and may arm itself again.
class Bell final : public net::Timer {
 public:
  Bell(net::Timers& timers, net::Loop& loop, std::vector<net::Instant>& rung)
      : Timer(timers), loop_(loop), rung_(rung) {}

  using Timer::arm;
  using Timer::armed;
  using Timer::deadline;
  using Timer::disarm;

  int again = 0;
  net::Poller* stops = nullptr;

 private:
  void on_time() override {
    CHECK(!armed());
    CHECK(loop_.now() >= deadline());
    rung_.push_back(deadline());
    if (again-- > 0) arm(loop_.now());  // has passed already: the next turn
    if (stops != nullptr) stops->stop();
  }

  net::Loop& loop_;
  std::vector<net::Instant>& rung_;
};

}  // namespace

TEST_CASE("timers ring in the order of their deadlines, and disarmed ones do not") {
  net::Loop loop;
  net::Poller poller(loop);
  {
    net::Timers timers(loop);
    std::vector<net::Instant> rung;
    std::mt19937 random(7);  // NOLINT: the same test every time
    std::vector<std::unique_ptr<Bell>> bells;
    std::vector<net::Instant> expected;
    for (int i = 0; i < 500; ++i) {
      bells.push_back(std::make_unique<Bell>(timers, loop, rung));
      bells.back()->arm(loop.now() + random() % 40);
    }
    for (const auto& bell : bells) {
      switch (random() % 4) {
        case 0:
          bell->disarm();
          break;
        case 1:
          bell->arm(loop.now() + random() % 40);
          break;
        default:
          break;
      }
    }
    for (int i = 0; i < 50; ++i)
      bells.erase(bells.begin() + static_cast<long>(random() % bells.size()));
    for (const auto& bell : bells) {
      if (bell->armed()) expected.push_back(bell->deadline());
    }
    REQUIRE(expected.size() > 200);

    Bell last(timers, loop, rung);
    last.arm(loop.now() + 60);
    last.stops = &poller;
    poller.run();

    REQUIRE(rung.size() == expected.size() + 1);
    rung.pop_back();
    CHECK(std::is_sorted(rung.begin(), rung.end()));
    std::sort(expected.begin(), expected.end());
    CHECK(rung == expected);
  }
}

TEST_CASE("a timer that arms itself for the past rings once a turn, and cannot hold up the loop") {
  struct CountTurns final : net::TurnEnd {
    bool turn_end() override {
      ++turns;
      return false;
    }
    int turns = 0;
  };
  CountTurns count;
  net::Loop loop;
  net::Poller poller(loop);
  poller.add_turn_end(count);
  {
    net::Timers timers(loop);
    std::vector<net::Instant> rung;
    Bell bell(timers, loop, rung);
    Bell last(timers, loop, rung);
    bell.again = 1'000'000'000;
    last.stops = &poller;
    bell.arm(loop.now());
    last.arm(loop.now() + 20);
    poller.run();
    CHECK(rung.size() >= 2);
    CHECK(static_cast<int>(rung.size()) <= count.turns + 2);
  }
}

}  // namespace finhold::tests
