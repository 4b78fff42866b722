#include "app/worker.h"

#include <algorithm>

#include "base/log.h"
#include "net/listener.h"

namespace finhold::app {

namespace log = base::log;

namespace {

// Legs with unacknowledged bytes are looked at as often as the most impatient route sends its
// keepalives.
net::Instant check_every_ms(const Config& config) {
  base::Milliseconds every = std::chrono::seconds(10);
  for (const relay::Route& route : config.routes) every = std::min(every, route.keepalive.interval);
  return static_cast<net::Instant>(every.count());
}

relay::TableOptions table_options(const Config& config) {
  return {.buffer_per_flow = config.limits.buffer_per_flow,
          .splicing = config.limits.splice,
          .check_every_ms = check_every_ms(config)};
}

}  // namespace

// The listener of one route on one worker.
class Worker::Door final : private net::Listener::Owner {
 public:
  Door(Worker& worker, relay::SessionQuota& quota, BoundRoute bound)
      : table_(worker.table_),
        quota_(quota),
        route_(*bound.route),
        kept_(bound.kept),
        listener_(worker.poller_, worker.timers_, worker.loop_, std::move(bound.socket), *this) {}

  base::Error open() { return listener_.start(); }
  void close() { kept_ ? listener_.leave() : listener_.stop(); }

 private:
  bool may_accept() override { return quota_.room(); }

  void on_accepted(net::Descriptor fd, const base::Address& client) override {
    table_.open(route_, std::move(fd), client);
  }

  void on_paused(const base::Error& error) override {
    if (!quota_.first_to_pause()) return;
    log::Line line("accepting is paused; connections wait in the kernel's queue");
    line.add("route", route_.name);
    if (error.code == 0) {
      line.add("reason", "limits.sessions is reached").add("sessions", quota_.most());
    } else {
      line.add("reason", error.text());
    }
    line.write(log::Level::warning);
  }

  void on_recovered() override {
    if (!quota_.last_to_recover()) return;
    log::Line("accepting goes on").add("route", route_.name).write(log::Level::info);
  }

  relay::SessionTable& table_;
  relay::SessionQuota& quota_;
  const relay::Route& route_;
  const bool kept_;
  net::Listener listener_;
};

Worker::Worker(const Config& config, relay::SessionQuota& quota, std::vector<BoundRoute> routes)
    : wake_(loop_, *this),
      poller_(loop_),
      timers_(loop_),
      table_(loop_, poller_, timers_, quota, *this, table_options(config)) {
  for (BoundRoute& bound : routes) {
    doors_.push_back(std::make_unique<Door>(*this, quota, std::move(bound)));
  }
}

Worker::~Worker() = default;

void Worker::run() {
  for (const auto& door : doors_) {
    // Registering a handful of fresh sockets fails for want of kernel memory only.
    FINHOLD_CHECK(door->open().code == 0);
  }
  poller_.run();
  life_.store(Life::over);
}

void Worker::ask() {
  Life answered = Life::answered;
  if (life_.compare_exchange_strong(answered, Life::asked)) wake_.call();
}

void Worker::drain() { order(Order::drain); }

void Worker::cut() { order(Order::cut); }

void Worker::order(Order order) {
  order_.store(order, std::memory_order_relaxed);
  wake_.call();
}

void Worker::on_wake() {
  Life asked = Life::asked;
  life_.compare_exchange_strong(asked, Life::answered);
  const Order order = order_.load(std::memory_order_relaxed);
  if (order == Order::none) return;
  if (!draining_) {
    draining_ = true;
    for (const auto& door : doors_) door->close();
  }
  if (order == Order::cut) table_.cut_all();
  if (table_.empty()) poller_.stop();
}

void Worker::on_empty() {
  if (draining_) poller_.stop();
}

}  // namespace finhold::app
