// Virtual time: what is to happen, in order. Nothing here or in what uses it looks at a real clock,
// so that hours pass in milliseconds, and one seed always gives the same run.
#pragma once

#include <algorithm>
#include <cstdint>
#include <queue>
#include <vector>

namespace finhold::simulation {

// Microseconds since the run began.
using Time = std::uint64_t;

constexpr Time ms = 1000;
constexpr Time s = 1000 * ms;
constexpr Time minute = 60 * s;
constexpr Time hour = 60 * minute;

class Actor {
 public:
  // What was planned has come. `what`: as it was planned.
  virtual void on_event(std::uint64_t what) = 0;

 protected:
  ~Actor() = default;
};

class Agenda {
 public:
  [[nodiscard]] Time now() const { return now_; }

  // `actor` lives as long as the agenda. Of those at one time the one that was planned first is the
  // first.
  void plan(Time at, Actor& actor, std::uint64_t what) {
    entries_.push({at < now_ ? now_ : at, planned_++, &actor, what});
  }

  [[nodiscard]] bool empty() const { return entries_.empty(); }
  // Requires that it is not empty.
  [[nodiscard]] Time next() const { return entries_.top().at; }

  // Requires that it is not empty.
  void run_next() {
    const Entry entry = entries_.top();
    entries_.pop();
    now_ = entry.at;
    entry.actor->on_event(entry.what);
  }

  // Nothing happens until then. Requires that nothing is planned before.
  void pass_to(Time at) { now_ = at < now_ ? now_ : at; }

  // Something that matters happens now, or will then. What goes on and on, as keepalives do, does
  // not: long after the last of these there will be none.
  void expect(Time at) { last_moment_ = std::max(last_moment_, at + patience); }
  void expect() { expect(now_); }
  [[nodiscard]] Time last_moment() const { return last_moment_; }
  [[nodiscard]] bool is_late() const { return now_ >= last_moment_; }

 private:
  struct Entry {
    Time at;
    std::uint64_t order;
    Actor* actor;
    std::uint64_t what;

    bool operator<(const Entry& other) const {
      return at != other.at ? at > other.at : order > other.order;
    }
  };

  // Longer than every timer that could still bring something.
  static constexpr Time patience = hour;

  Time now_ = 0;
  Time last_moment_ = patience;
  std::uint64_t planned_ = 0;
  std::priority_queue<Entry> entries_;
};

}  // namespace finhold::simulation
