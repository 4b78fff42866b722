#include "net/listener.h"

#include <cerrno>
#include <sys/socket.h>

namespace finhold::net {
namespace {

constexpr int burst = 64;         // connections a turn, so that running sessions have their share
constexpr int last_burst = 8192;  // more than a backlog holds
constexpr Instant retry_after_ms = 100;

// Errors of one connection that is gone already; accept(2) hands them through.
bool concerns_one_connection(int code) {
  switch (code) {
    case ECONNABORTED:
    case EPROTO:
    case ENOPROTOOPT:
    case ENETDOWN:
    case ENETUNREACH:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ENONET:
    case EOPNOTSUPP:
    case EPERM:  // refused by a firewall rule
    case EINTR:
      return true;
    default:
      return false;
  }
}

}  // namespace

Listener::Listener(Poller& poller, Timers& timers, Loop& loop, Descriptor fd, Owner& owner)
    : Timer(timers), poller_(poller), loop_(loop), fd_(std::move(fd)), owner_(owner) {}

Listener::~Listener() { leave(); }

// Level-triggered: what one burst leaves is told again in the next turn.
base::Error Listener::start() { return poller_.add(fd_.get(), EPOLLIN, *this); }

void Listener::on_ready(std::uint32_t) {
  if (!paused_) accept_burst(burst);
}

void Listener::accept_burst(int most) {
  for (int i = 0; i < most; ++i) {
    if (!owner_.may_accept()) return pause({});
    sockaddr_storage storage{};
    socklen_t length = sizeof storage;
    auto* raw = reinterpret_cast<sockaddr*>(&storage);
    Descriptor fd(accept4(fd_.get(), raw, &length, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (fd.valid()) {
      owner_.on_accepted(std::move(fd), base::Address::from(raw));
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      return;
    } else if (!concerns_one_connection(errno)) {
      return pause({errno, "accept"});
    }
  }
}

// The descriptor leaves the poller's interest, or its level would be told in every turn.
void Listener::pause(const base::Error& error) {
  if (draining_) return;
  paused_ = true;
  static_cast<void>(poller_.change(fd_.get(), 0, *this));
  arm(loop_.now() + retry_after_ms);
  if (told_) return;
  told_ = true;
  owner_.on_paused(error);
}

void Listener::on_time() {
  if (!paused_) {
    told_ = false;
    owner_.on_recovered();
  } else if (!owner_.may_accept()) {
    arm(loop_.now() + retry_after_ms);
  } else {
    paused_ = false;
    static_cast<void>(poller_.change(fd_.get(), EPOLLIN, *this));
    arm(loop_.now() + calm_ms);
  }
}

void Listener::stop() {
  draining_ = true;
  accept_burst(last_burst);
  leave();
}

void Listener::leave() {
  disarm();
  if (fd_.valid()) poller_.remove(fd_.get(), *this);
  fd_.close();
}

// With its place, which the next one might not get.
Descriptor Listener::release() {
  disarm();
  if (fd_.valid()) {
    static_cast<void>(poller_.reserve(fd_.get()));
    poller_.forget(*this);
  }
  return std::move(fd_);
}

}  // namespace finhold::net
