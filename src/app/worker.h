// One worker: a thread with a loop, its own listening sockets and its own sessions. Nothing is
// shared on the data path.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "app/config.h"
#include "net/descriptor.h"
#include "net/loop.h"
#include "net/poller.h"
#include "net/timers.h"
#include "relay/session_table.h"

namespace finhold::app {

// A listening socket, and what is to be done with its connections. The route outlives the worker.
struct BoundRoute {
  const relay::Route* route;
  net::Descriptor socket;
};

class Worker final : private net::Wake::Listener, private relay::SessionTable::Owner {
 public:
  // On any thread, before run(). `config` and `quota` outlive the worker.
  Worker(const Config& config, relay::SessionQuota& quota, std::vector<BoundRoute> routes);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Serves until it was told to drain and its last session is over. On the thread of the worker;
  // destroy it after this has returned.
  void run();

  // Any thread. Accepts what waits, closes the listening sockets, lets the sessions finish.
  void drain();
  // Any thread. The same, and resets what is not finished.
  void cut();

 private:
  class Door;
  enum class Order : std::uint8_t { none, drain, cut };

  void order(Order order);
  void on_wake() override;
  void on_empty() override;

  std::atomic<Order> order_{Order::none};
  bool draining_ = false;
  net::Loop loop_;
  net::Wake wake_;
  net::Poller poller_;
  net::Timers timers_;
  relay::SessionTable table_;
  std::vector<std::unique_ptr<Door>> doors_;
};

}  // namespace finhold::app
