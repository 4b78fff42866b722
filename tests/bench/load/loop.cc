#include "loop.h"

#include <algorithm>
#include <poll.h>
#include <unistd.h>
#include <utility>

#include "report.h"

namespace bench {
namespace {

int wait(int epoll, epoll_event* events, std::size_t size, int timeout) {
  return std::max(0, epoll_wait(epoll, events, static_cast<int>(size), timeout));
}

epoll_event event_of(int fd, std::uint32_t events) {
  epoll_event event = {};
  event.events = events;
  event.data.fd = fd;
  return event;
}

}  // namespace

Loop::Loop() : small_(epoll_create1(EPOLL_CLOEXEC)), bulk_(epoll_create1(EPOLL_CLOEXEC)) {
  if (small_ < 0 || bulk_ < 0) die("epoll_create1");
}

Loop::~Loop() {
  ::close(small_);
  ::close(bulk_);
}

void Loop::add(int fd, std::uint32_t events, std::unique_ptr<Source> source, Rank rank) {
  const auto index = static_cast<std::size_t>(fd);
  if (index >= entries_.size()) entries_.resize(index * 2 + 64);
  epoll_event event = event_of(fd, events);
  if (epoll_ctl(rank == Rank::bulk ? bulk_ : small_, EPOLL_CTL_ADD, fd, &event) != 0) {
    die("epoll_ctl: add");
  }
  bulk_count_ += rank == Rank::bulk ? 1 : 0;
  entries_[index] = {std::move(source), rank};
}

void Loop::change(int fd, std::uint32_t events) {
  epoll_event event = event_of(fd, events);
  const bool bulk = entries_[static_cast<std::size_t>(fd)].rank == Rank::bulk;
  if (epoll_ctl(bulk ? bulk_ : small_, EPOLL_CTL_MOD, fd, &event) != 0) die("epoll_ctl: change");
}

void Loop::replace(int fd, std::unique_ptr<Source> source) {
  entries_[static_cast<std::size_t>(fd)].source = std::move(source);
}

void Loop::promote(int fd, std::uint32_t events, std::unique_ptr<Source> source) {
  if (epoll_ctl(small_, EPOLL_CTL_DEL, fd, nullptr) != 0) die("epoll_ctl: remove");
  add(fd, events, std::move(source), Rank::bulk);
}

void Loop::close(int fd) {
  Entry& entry = entries_[static_cast<std::size_t>(fd)];
  bulk_count_ -= entry.rank == Rank::bulk ? 1 : 0;
  ::close(fd);
  entry = Entry{};
}

void Loop::dispatch(const epoll_event& event) {
  Source* source = entries_[static_cast<std::size_t>(event.data.fd)].source.get();
  if (source != nullptr) source->on_ready(event.events);
}

void Loop::nudge(int fd) { dispatch(event_of(fd, 0)); }

void Loop::turn(std::chrono::milliseconds longest_wait) {
  const int patience = static_cast<int>(longest_wait.count());
  const int small =
      wait(small_, small_events_.data(), small_events_.size(), bulk_count_ == 0 ? patience : 0);
  for (int i = 0; i < small; ++i) dispatch(small_events_[static_cast<std::size_t>(i)]);
  if (bulk_count_ == 0) return;

  if (bulk_next_ == bulk_ready_) {
    bulk_next_ = 0;
    bulk_ready_ = wait(bulk_, bulk_events_.data(), bulk_events_.size(), 0);
    if (bulk_ready_ == 0 && small == 0) {
      std::array<pollfd, 2> both = {{{small_, POLLIN, 0}, {bulk_, POLLIN, 0}}};
      poll(both.data(), both.size(), patience);
    }
  }
  if (bulk_next_ < bulk_ready_) dispatch(bulk_events_[static_cast<std::size_t>(bulk_next_++)]);
}

}  // namespace bench
