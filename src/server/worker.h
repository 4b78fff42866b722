// One worker: a thread with a loop, its own listening sockets, its own sessions, and its own
// connections of tunnels. Nothing is shared on the data path.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "admin/collector.h"
#include "net/loop.h"
#include "net/poller.h"
#include "net/timers.h"
#include "relay/session_table.h"
#include "server/generation.h"
#include "server/generations_in_use.h"
#include "server/worker_listeners.h"
#include "tunnel/connection_table.h"

namespace finhold::server {

// What a worker is to serve from now on.
struct WorkOrder {
  GenerationRef generation;
  std::vector<Sockets> sockets;  // as listen_places()
};

class Worker final : private net::Wake::Listener,
                     private net::Timer,
                     private relay::SessionTable::Owner,
                     private tunnel::ConnectionTable::Owner,
                     private admin::Reporter {
 public:
  // On any thread, before run(). `first` takes over no sockets. `main` is called when a later order
  // is carried out. All that is referred to outlives the worker. Throws std::system_error if the
  // kernel refuses what it needs.
  Worker(WorkOrder first, relay::SessionQuota& quota, net::Wake& main);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Serves until it was told to drain, its last session is over, and the connections of its tunnels
  // are closed: as long as their other ends take what was written to them. On the thread of the
  // worker; destroy it after this has returned.
  void run();

  // Any thread. Before an order with these sockets: nothing that can fail is left then.
  base::Error reserve(const std::vector<Sockets>& sockets);

  // Before run(). Whoever asks that collector is told of this worker's sessions.
  void report_to(admin::Collector& collector);

  // Any thread, if the one before is carried out. What listens for the old order and the new one is
  // not closed, and running sessions go on as they began.
  void change(WorkOrder order);
  [[nodiscard]] bool is_changing() const { return changing_.load(); }

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
  void begin(WorkOrder order);
  void forget_former();

  // How often what is left of earlier orders is looked after.
  static constexpr net::Instant forget_every_ms = 1000;
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
  tunnel::ConnectionTable connections_;
  bool connects_ = false;  // connections_ has begun
  GenerationsInUse generations_;
  relay::SessionTable table_;
  RouteListener::Shared listen_shared_;
  WorkerListeners listeners_;
  net::Wake& main_;
  WorkOrder first_;  // until run()
  std::mutex mutex_;
  std::optional<WorkOrder> order_to_begin_;  // under mutex_
  std::atomic<bool> changing_{false};
};

}  // namespace finhold::server
