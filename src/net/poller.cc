#include "net/poller.h"

#include <cerrno>

#include "base/check.h"

namespace finhold::net {

Poller::Poller(Loop& loop) : epoll_(epoll_create1(EPOLL_CLOEXEC)), poll_(new uv_poll_t{}) {
  FINHOLD_CHECK(epoll_.valid());
  FINHOLD_CHECK(uv_poll_init(loop.raw(), poll_.get(), epoll_.get()) == 0);
  poll_->data = this;
  uv_poll_start(poll_.get(), UV_READABLE, [](uv_poll_t* handle, int, int) {
    static_cast<Poller*>(handle->data)->on_events();
  });
}

base::Error Poller::add(int fd, std::uint32_t events, Watcher& watcher) {
  return control(EPOLL_CTL_ADD, fd, events, watcher);
}

base::Error Poller::change(int fd, std::uint32_t events, Watcher& watcher) {
  return control(EPOLL_CTL_MOD, fd, events, watcher);
}

base::Error Poller::control(int operation, int fd, std::uint32_t events, Watcher& watcher) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = &watcher;
  if (epoll_ctl(epoll_.get(), operation, fd, &event) == 0) return {};
  return {errno, "epoll_ctl"};
}

void Poller::forget(const Watcher& watcher) {
  for (int i = next_; i < count_; ++i) {
    epoll_event& event = batch_[static_cast<std::size_t>(i)];
    if (event.data.ptr == &watcher) event.data.ptr = nullptr;
  }
}

void Poller::on_events() {
  count_ = epoll_wait(epoll_.get(), batch_.data(), batch_size, 0);
  for (next_ = 0; next_ < count_;) {
    const epoll_event event = batch_[static_cast<std::size_t>(next_)];
    ++next_;
    if (event.data.ptr != nullptr) static_cast<Watcher*>(event.data.ptr)->on_ready(event.events);
  }
  next_ = count_ = 0;
}

}  // namespace finhold::net
