// Runs a loop until something is so, for the worlds of the tests.
#pragma once

#include <algorithm>
#include <functional>

#include "net/loop.h"
#include "net/poller.h"
#include "net/timers.h"

namespace finhold::tests {

// What is awaited is looked at whenever the loop has done something, and now and then without that:
// a program's own socket is in nobody's epoll, and on a busy machine what was sent to it over
// loopback comes after send() has returned (ksoftirqd delivers it), when the loop has nothing more
// to do.
class Awaiting final : private net::TurnEnd, private net::Timer {
 public:
  Awaiting(net::Loop& loop, net::Poller& poller, net::Timers& timers)
      : net::Timer(timers), loop_(loop), poller_(poller) {}
  Awaiting(const Awaiting&) = delete;
  Awaiting& operator=(const Awaiting&) = delete;
  ~Awaiting() = default;

  // False: not within ten seconds.
  [[nodiscard]] bool until(const std::function<bool()>& is_so) {
    constexpr net::Instant patience_ms = 10'000;
    return run(patience_ms, &is_so);
  }
  // Only to show that something does not happen.
  void pause(net::Instant milliseconds) { static_cast<void>(run(milliseconds, nullptr)); }

 private:
  bool run(net::Instant milliseconds, const std::function<bool()>* is_so) {
    awaited_ = is_so;
    is_so_ = false;
    uv_update_time(loop_.raw());
    end_ = loop_.now() + milliseconds;
    poller_.add_turn_end(*this);  // after all that the turn itself does
    on_time();
    poller_.run();
    disarm();
    poller_.remove_turn_end(*this);
    awaited_ = nullptr;
    return is_so_;
  }
  bool turn_end() override {
    is_so_ = awaited_ != nullptr && (*awaited_)();
    if (is_so_) poller_.stop();
    return false;
  }
  void on_time() override {
    constexpr net::Instant look_ms = 50;
    if (loop_.now() >= end_) {
      poller_.stop();
    } else {
      arm(std::min(end_, loop_.now() + look_ms));
    }
  }

  net::Loop& loop_;
  net::Poller& poller_;
  const std::function<bool()>* awaited_ = nullptr;
  bool is_so_ = false;
  net::Instant end_ = 0;
};

}  // namespace finhold::tests
