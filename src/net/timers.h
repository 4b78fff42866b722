// Deadlines of many objects behind one libuv timer: a binary heap of pointers. An object that has
// no deadline costs nothing.
#pragma once

#include <cstddef>
#include <vector>

#include "net/loop.h"

namespace finhold::net {

class Timers;

// One deadline. Part of the object that waits; disarms itself when destroyed.
class Timer {
 public:
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  // The deadline has passed; the timer is disarmed already. May arm it again, or destroy it.
  virtual void on_time() = 0;

 protected:
  explicit Timer(Timers& timers) : timers_(&timers) {}
  ~Timer();

  // Replaces an earlier deadline. A time that has passed means the next millisecond.
  void arm(Instant at);
  void disarm();
  [[nodiscard]] bool armed() const { return slot_ != unarmed; }
  [[nodiscard]] Instant deadline() const { return at_; }

 private:
  friend class Timers;
  static constexpr std::size_t unarmed = static_cast<std::size_t>(-1);

  Timers* timers_;
  Instant at_ = 0;
  std::size_t slot_ = unarmed;  // in the heap
};

// On the loop's thread; outlives its timers.
class Timers {
 public:
  explicit Timers(Loop& loop);
  Timers(const Timers&) = delete;
  Timers& operator=(const Timers&) = delete;
  // Requires that no timer is armed.
  ~Timers();

 private:
  friend class Timer;
  void arm(Timer& timer, Instant at);
  void disarm(Timer& timer);
  void place(Timer* timer, std::size_t slot);
  void sift_up(std::size_t slot);
  void sift_down(std::size_t slot);
  void schedule();
  void on_time();

  Loop& loop_;
  Handle<uv_timer_t> uv_timer_;
  Instant scheduled_ = 0;  // what uv_timer_ waits for; 0 = it does not run
  bool telling_ = false;
  std::vector<Timer*> heap_;
};

}  // namespace finhold::net
