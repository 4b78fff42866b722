#include "server/sd_notify.h"

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <string>
#include <systemd/sd-daemon.h>

namespace finhold::server {
namespace {

constexpr net::Instant status_every_ms = 5000;
// Beyond limits.drain: what resetting the rest takes, and removing rules (30 s at most).
constexpr base::Milliseconds after_drain = std::chrono::seconds(60);

net::Instant watchdog_ms() {
  std::uint64_t microseconds = 0;
  return sd_watchdog_enabled(0, &microseconds) > 0 ? microseconds / 1000 : 0;
}

}  // namespace

Notify::Notify(net::Loop& loop, net::Timers& timers, const relay::SessionQuota& quota,
               const Workers& workers)
    : net::Timer(timers),
      loop_(loop),
      quota_(quota),
      workers_(workers),
      wanted_(std::getenv("NOTIFY_SOCKET") != nullptr) {  // NOLINT(concurrency-mt-unsafe)
  if (wanted_) watchdog_ms_ = watchdog_ms();
}

void Notify::ready() {
  if (!wanted_) return;
  tell("READY=1\n");
  wait();
}

// systemd wants the time, to tell this from an answer to an earlier reload.
void Notify::reloading() {
  if (!wanted_) return;
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  const auto microseconds = static_cast<std::uint64_t>(now.tv_sec) * 1'000'000 +
                            static_cast<std::uint64_t>(now.tv_nsec) / 1000;
  tell(("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(microseconds) + "\n").c_str());
}

void Notify::reloaded() {
  if (wanted_) tell("READY=1\n");
}

void Notify::stopping(base::Milliseconds drain) {
  if (!wanted_) return;
  stopping_ = true;
  const std::string longest = std::to_string(
      std::chrono::duration_cast<std::chrono::microseconds>(drain + after_drain).count());
  tell(("STOPPING=1\nEXTEND_TIMEOUT_USEC=" + longest + "\n").c_str());
}

// Each worker is asked, and has until the next time to answer: a worker that hangs is a reason to
// start anew, as much as this thread.
void Notify::on_time() {
  const bool alive = std::all_of(workers_.begin(), workers_.end(),
                                 [](const auto& worker) { return worker->has_answered(); });
  if (watchdog_ms_ > 0 && alive) static_cast<void>(sd_notify(0, "WATCHDOG=1"));
  if (quota_.open() != told_) tell("");
  wait();
}

// The result is of no use: whoever does not listen is not told.
void Notify::tell(const char* first_lines) {
  told_ = quota_.open();
  static_cast<void>(sd_notifyf(0, "%sSTATUS=%u session%s%s", first_lines, told_,
                               told_ == 1 ? "" : "s", stopping_ ? " left, stopping" : ""));
}

// Twice in the half of the watchdog's time, in which sd_watchdog_enabled(3) wants it told.
void Notify::wait() {
  if (watchdog_ms_ > 0) {
    for (const auto& worker : workers_) worker->ask();
  }
  const net::Instant every =
      watchdog_ms_ > 0 ? std::min(watchdog_ms_ / 4, status_every_ms) : status_every_ms;
  arm(loop_.now() + std::max<net::Instant>(every, 1));
}

}  // namespace finhold::server
