#include "net/timers.h"

#include <algorithm>

#include "base/check.h"

namespace finhold::net {

Timer::~Timer() { disarm(); }

void Timer::arm(Instant at) { timers_->arm(*this, at); }

void Timer::disarm() {
  if (armed()) timers_->disarm(*this);
}

Timers::Timers(Loop& loop) : loop_(loop), uv_timer_(new uv_timer_t{}) {
  uv_timer_init(loop.raw(), uv_timer_.get());
  uv_timer_->data = this;
}

Timers::~Timers() { FINHOLD_CHECK(heap_.empty()); }

void Timers::arm(Timer& timer, Instant at) {
  // So that a callback which arms a timer for the past cannot keep on_time() busy.
  if (telling_) at = std::max(at, loop_.now() + 1);
  if (timer.armed()) {
    if (timer.at_ == at) return;
    timer.at_ = at;
    sift_up(timer.slot_);
    sift_down(timer.slot_);
  } else {
    timer.at_ = at;
    heap_.push_back(&timer);
    timer.slot_ = heap_.size() - 1;
    sift_up(timer.slot_);
  }
  schedule();
}

void Timers::disarm(Timer& timer) {
  const std::size_t slot = timer.slot_;
  timer.slot_ = Timer::unarmed;
  Timer* last = heap_.back();
  heap_.pop_back();
  if (last != &timer) {
    place(last, slot);
    sift_up(slot);
    sift_down(last->slot_);
  }
  schedule();
}

void Timers::place(Timer* timer, std::size_t slot) {
  heap_[slot] = timer;
  timer->slot_ = slot;
}

void Timers::sift_up(std::size_t slot) {
  Timer* timer = heap_[slot];
  while (slot > 0) {
    const std::size_t parent = (slot - 1) / 2;
    if (heap_[parent]->at_ <= timer->at_) break;
    place(heap_[parent], slot);
    slot = parent;
  }
  place(timer, slot);
}

void Timers::sift_down(std::size_t slot) {
  Timer* timer = heap_[slot];
  while (true) {
    std::size_t child = 2 * slot + 1;
    if (child >= heap_.size()) break;
    if (child + 1 < heap_.size() && heap_[child + 1]->at_ < heap_[child]->at_) ++child;
    if (timer->at_ <= heap_[child]->at_) break;
    place(heap_[child], slot);
    slot = child;
  }
  place(timer, slot);
}

// The libuv timer is only ever moved to an earlier time: one that fires too early finds nothing to
// do and is set again. So deadlines that are armed and disarmed, as a dial's, mostly cost no more
// than the heap.
void Timers::schedule() {
  if (telling_ || heap_.empty()) return;
  const Instant first = heap_.front()->at_;
  if (scheduled_ != 0 && scheduled_ <= first) return;
  const Instant now = loop_.now();
  // Never 0: libuv runs a timer that its own callback has set to 0 again in the same pass, for
  // ever.
  scheduled_ = std::max(first, now + 1);
  uv_timer_start(
      uv_timer_.get(), [](uv_timer_t* handle) { static_cast<Timers*>(handle->data)->on_time(); },
      scheduled_ - now, 0);
}

void Timers::on_time() {
  scheduled_ = 0;
  telling_ = true;
  const Instant now = loop_.now();
  while (!heap_.empty() && heap_.front()->at_ <= now) {
    Timer* timer = heap_.front();
    disarm(*timer);
    timer->on_time();
  }
  telling_ = false;
  schedule();
}

}  // namespace finhold::net
