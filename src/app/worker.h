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
  bool kept = false;  // by systemd: what waits to be accepted when finhold ends is left to the next
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

  // Any thread. Accepts what waits in sockets of its own, closes all listening ones, lets the
  // sessions finish.
  void drain();
  // Any thread. The same, and resets what is not finished.
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
  void on_empty() override;

  std::atomic<Order> order_{Order::none};
  std::atomic<Life> life_{Life::answered};
  bool draining_ = false;
  net::Loop loop_;
  net::Wake wake_;
  net::Poller poller_;
  net::Timers timers_;
  relay::SessionTable table_;
  std::vector<std::unique_ptr<Door>> doors_;
};

}  // namespace finhold::app
