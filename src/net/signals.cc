#include "net/signals.h"

#include <cerrno>
#include <csignal>
#include <sys/signalfd.h>
#include <system_error>
#include <unistd.h>

#include "base/check.h"

namespace finhold::net {

namespace {

sigset_t set_of(std::initializer_list<int> numbers) {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : numbers) sigaddset(&set, number);
  return set;
}

}  // namespace

void hold_signals(std::initializer_list<int> numbers) {
  const sigset_t set = set_of(numbers);
  FINHOLD_CHECK(pthread_sigmask(SIG_BLOCK, &set, nullptr) == 0);
  // One that who started us had ignored (nohup, a shell's "&") would not even wait.
  for (const int number : numbers) static_cast<void>(std::signal(number, SIG_DFL));
}

Signals::Signals(Poller& poller, std::initializer_list<int> numbers, Listener& listener)
    : poller_(poller), listener_(listener) {
  const sigset_t set = set_of(numbers);
  fd_ = Descriptor(signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
  if (!fd_.valid()) throw std::system_error(errno, std::generic_category(), "signalfd");
  const base::Error error = poller_.add(fd_.get(), EPOLLIN | EPOLLET, *this);
  if (error.code != 0)
    throw std::system_error(error.code, std::generic_category(), error.operation);
}

Signals::~Signals() { poller_.forget(*this); }

void Signals::on_ready(std::uint32_t /*events*/) {
  // Until there is none: the edge is told once.
  while (true) {
    signalfd_siginfo caught{};
    const ssize_t count = read(fd_.get(), &caught, sizeof caught);
    if (count < 0 && errno == EINTR) continue;
    if (count != sizeof caught) return;
    listener_.on_signal(static_cast<int>(caught.ssi_signo));
  }
}

}  // namespace finhold::net
