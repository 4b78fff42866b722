// One worker: a thread with a loop, its own listening sockets, its own sessions, and its own
// connections of tunnels. Nothing is shared on the data path.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "admin/collector.h"
#include "app/certificates.h"
#include "app/config.h"
#include "net/descriptor.h"
#include "net/loop.h"
#include "net/poller.h"
#include "net/resolver.h"
#include "net/timers.h"
#include "relay/session_table.h"
#include "tunnel/connection_table.h"
#include "tunnel/far.h"
#include "tunnel/near.h"

namespace finhold::app {

// A listening socket, and what is to be done with its connections. The route outlives the worker.
struct BoundRoute {
  const relay::Route* route;
  net::Descriptor socket;
  bool kept = false;  // by systemd: what waits to be accepted when finhold ends is left to the next
};

// The same for a far end: one of Config::fars.
struct BoundFar {
  std::size_t far;
  net::Descriptor socket;
};

struct BoundSockets {
  std::vector<BoundRoute> routes;
  std::vector<BoundFar> fars;
};

class Worker final : private net::Wake::Listener,
                     private net::Timer,
                     private relay::SessionTable::Owner,
                     private tunnel::ConnectionTable::Owner,
                     private admin::Reporter {
 public:
  // On any thread, before run(). All that is referred to outlives the worker.
  Worker(const Config& config, const Certificates& certificates, relay::SessionQuota& quota,
         BoundSockets sockets);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Serves until it was told to drain, its last session is over, and the connections of its tunnels
  // are closed: as long as their other ends take what was written to them. On the thread of the
  // worker; destroy it after this has returned.
  void run();

  // Before run(). Whoever asks that collector is told of this worker's sessions.
  void report_to(admin::Collector& collector);

  // Any thread. Accepts what waits in sockets of its own, closes all listening ones, lets the
  // sessions finish.
  void drain();
  // Any thread. The same, and resets what is not finished; then 2 s are left at most.
  void cut();

  // Any thread. Asks for a sign of life, and whether it was given: the loop has had a turn since,
  // or is over.
  void ask();
  [[nodiscard]] bool has_answered() const { return life_.load() != Life::asked; }

 private:
  class Door;
  enum class Order : std::uint8_t { none, drain, cut };
  enum class Life : std::uint8_t { answered, asked, over };

  void order(Order order);
  void on_wake() override;
  void on_time() override;
  void on_empty() override;
  void on_no_connections() override;
  std::unique_ptr<relay::Leg> leg_to_server(const relay::Session& session) override;
  void ask_report() override;
  void stop_if_over();
  [[nodiscard]] admin::WorkerReport report() const;

  // A connection of a tunnel that was cut may take that long to part.
  static constexpr net::Instant parting_ms = 2000;

  std::atomic<Order> order_{Order::none};
  std::atomic<Life> life_{Life::answered};
  std::atomic<bool> report_wanted_{false};
  admin::Collector* collector_ = nullptr;
  std::size_t place_ = 0;  // at the collector
  bool draining_ = false;
  net::Loop loop_;
  net::Wake wake_;
  net::Poller poller_;
  net::Timers timers_;
  net::Resolver resolver_;  // of the nears, which outlive the table and its own
  tunnel::ConnectionTable connections_;
  std::vector<std::unique_ptr<tunnel::Near>> nears_;  // as Config::tunnels; nothing: not used
  relay::SessionTable table_;
  std::vector<std::unique_ptr<tunnel::Far>> fars_;
  std::vector<std::unique_ptr<Door>> doors_;
};

}  // namespace finhold::app
