#include "net/poller.h"

#include <cerrno>
#include <limits>
#include <system_error>

namespace finhold::net {
namespace {

// Timers that are late by so much have been so because this process did not run.
constexpr Instant late_ms = 100;
// What has come meanwhile is read within so many turns.
constexpr int most_put_off_turns = 1000;

}  // namespace

Poller::Poller(Loop& loop) : loop_(loop), epoll_(epoll_create1(EPOLL_CLOEXEC)) {
  if (!epoll_.valid()) throw std::system_error(errno, std::generic_category(), "epoll_create1");
  const base::Error error = add(uv_backend_fd(loop.raw()), EPOLLIN, *this);
  if (error.code != 0)
    throw std::system_error(error.code, std::generic_category(), error.operation);
}

void Poller::run() {
  uv_run(loop_.raw(), UV_RUN_NOWAIT);  // libuv registers its descriptors when it polls
  while (!stopped_) {
    const bool more = end_turn();
    if (stopped_) break;
    const int until_due = uv_backend_timeout(loop_.raw());
    const Instant due = until_due < 0 ? std::numeric_limits<Instant>::max()
                                      : loop_.now() + static_cast<Instant>(until_due);
    count_ = epoll_wait(epoll_.get(), batch_.data(), batch_size, more ? 0 : until_due);
    uv_update_time(loop_.raw());
    ++turn_;
    for (next_ = 0; next_ < count_;) {
      const epoll_event event = batch_[static_cast<std::size_t>(next_)];
      ++next_;
      if (event.data.ptr != nullptr) static_cast<Watcher*>(event.data.ptr)->on_ready(event.events);
    }
    const bool is_put_off = put_off(due, more);
    next_ = count_ = 0;
    if (is_put_off) continue;
    if (!libuv_ready_ && uv_backend_timeout(loop_.raw()) != 0) continue;
    libuv_ready_ = false;
    uv_run(loop_.raw(), UV_RUN_NOWAIT);
  }
  stopped_ = false;
}

// After a pause of this whole process (a stop, a machine that slept) timers are due that what has
// come meanwhile may make pointless. It is told and read first: epoll_wait() says EINTR after a
// stop, whatever there is (signal(7)), one batch may not tell of all, one turn may not read all,
// and of what is told in one turn the next may be told. Who always has more delays them by as much
// as they were late, at most. (2026-11-28; tests/integration/operation/test_pauses.py.)
bool Poller::put_off(Instant due, bool more) {
  const Instant now = loop_.now();
  const bool calm = !more && count_ >= 0 && count_ < batch_size;
  if (put_off_turns_ == 0) {
    if (now < due || now - due < late_ms || (calm && count_ == 0)) return false;
    put_off_turns_ = most_put_off_turns;
    put_off_until_ = now + (now - due);
    calm_turns_ = 0;
    return true;
  }
  calm_turns_ = calm ? calm_turns_ + 1 : 0;
  if (--put_off_turns_ > 0 && now < put_off_until_ && calm_turns_ < 2) return true;
  put_off_turns_ = 0;
  return false;
}

// True: one of them has more to do.
bool Poller::end_turn() {
  bool more = false;
  for (TurnEnd* turn_end : turn_ends_) more = turn_end->turn_end() || more;
  return more;
}

// libuv has something to do: after the batch, since it may take its time.
void Poller::on_ready(std::uint32_t) { libuv_ready_ = true; }

base::Error Poller::add(int fd, std::uint32_t events, Watcher& watcher) {
  const base::Error error = control(EPOLL_CTL_ADD, fd, events, &watcher);
  return error.code == EEXIST ? change(fd, events, watcher) : error;
}

// With no events, and those that are always told only once and to nobody.
base::Error Poller::reserve(int fd) {
  const base::Error error = control(EPOLL_CTL_ADD, fd, EPOLLET, nullptr);
  return error.code == EEXIST ? control(EPOLL_CTL_MOD, fd, EPOLLET, nullptr) : error;
}

base::Error Poller::change(int fd, std::uint32_t events, Watcher& watcher) {
  return control(EPOLL_CTL_MOD, fd, events, &watcher);
}

base::Error Poller::control(int operation, int fd, std::uint32_t events, Watcher* watcher) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = watcher;
  if (epoll_ctl(epoll_.get(), operation, fd, &event) == 0) return {};
  return {errno, "epoll_ctl"};
}

void Poller::remove(int fd, const Watcher& watcher) {
  static_cast<void>(epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr));
  forget(watcher);
}

void Poller::forget(const Watcher& watcher) {
  for (int i = next_; i < count_; ++i) {
    epoll_event& event = batch_[static_cast<std::size_t>(i)];
    if (event.data.ptr == &watcher) event.data.ptr = nullptr;
  }
}

}  // namespace finhold::net
