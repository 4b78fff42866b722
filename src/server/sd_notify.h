// What the service manager is told (sd_notify(3)): ready, stopping, how many sessions, and that
// finhold is alive. Without NOTIFY_SOCKET in the environment nobody is, and nothing is done.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/duration.h"
#include "net/loop.h"
#include "net/timers.h"
#include "relay/session_table.h"
#include "server/worker.h"

namespace finhold::server {

// On the main thread. All that is referred to outlives this.
class Notify final : private net::Timer {
 public:
  using Workers = std::vector<std::unique_ptr<Worker>>;

  Notify(net::Loop& loop, net::Timers& timers, const relay::SessionQuota& quota,
         const Workers& workers);

  // The listeners stand and the workers run. From now on the status is kept up to date, and if the
  // unit has WatchdogSec=, systemd is told in good time that this loop and each worker's turn.
  void ready();

  // The configuration is read again; then, whatever came of it, that this is over.
  void reloading();
  void reloaded();

  // Sessions may take that long to finish: systemd waits for it, whatever TimeoutStopSec= says.
  void stopping(base::Milliseconds drain);

 private:
  void on_time() override;
  void tell(const char* first_lines);
  void wait();

  net::Loop& loop_;
  const relay::SessionQuota& quota_;
  const Workers& workers_;
  const bool wanted_;
  net::Instant watchdog_ms_ = 0;  // 0: no watchdog
  std::uint32_t told_ = 0;        // sessions
  bool stopping_ = false;
};

}  // namespace finhold::server
