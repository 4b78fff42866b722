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
  for (const FarConfig& far : config.fars) {
    every = std::min(every, far.settings.route.keepalive.interval);
  }
  return static_cast<net::Instant>(every.count());
}

relay::TableOptions table_options(const Config& config) {
  return {.buffer_per_flow = config.limits.buffer_per_flow,
          .splicing = config.limits.splice,
          .check_every_ms = check_every_ms(config)};
}

bool is_used(const Config& config, std::size_t tunnel) {
  return std::any_of(config.routes.begin(), config.routes.end(), [tunnel](const auto& route) {
    return route.tunnel == static_cast<int>(tunnel);
  });
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

Worker::Worker(const Config& config, const Certificates& certificates, relay::SessionQuota& quota,
               BoundSockets sockets)
    : net::Timer(timers_),
      wake_(loop_, *this),
      poller_(loop_),
      timers_(loop_),
      resolver_(loop_),
      connections_(loop_, poller_, timers_, config.limits.tunnel_window, *this),
      table_(loop_, poller_, timers_, quota, *this, table_options(config)) {
  const auto context = [](const std::optional<tunnel::TlsContext>& tls) {
    return tls ? &*tls : nullptr;
  };
  if (!config.tunnels.empty() || !config.fars.empty()) connections_.begin();
  for (std::size_t i = 0; i < config.tunnels.size(); ++i) {
    nears_.emplace_back();
    if (!is_used(config, i)) continue;
    nears_.back() =
        std::make_unique<tunnel::Near>(config.tunnels[i].settings, context(certificates.tunnels[i]),
                                       connections_, loop_, poller_, timers_, resolver_);
  }
  for (BoundFar& bound : sockets.fars) {
    fars_.push_back(std::make_unique<tunnel::Far>(
        config.fars[bound.far].settings, context(certificates.fars[bound.far]),
        std::move(bound.socket), connections_, table_, quota, loop_, poller_, timers_));
  }
  for (BoundRoute& bound : sockets.routes) {
    doors_.push_back(std::make_unique<Door>(*this, quota, std::move(bound)));
  }
}

Worker::~Worker() = default;

void Worker::run() {
  for (const auto& near : nears_) {
    if (near) near->start();
  }
  // Registering a handful of fresh sockets fails for want of kernel memory only.
  for (const auto& far : fars_) FINHOLD_CHECK(far->start().code == 0);
  for (const auto& door : doors_) FINHOLD_CHECK(door->open().code == 0);
  poller_.run();
  life_.store(Life::over);
  if (collector_ != nullptr) collector_->take(place_, report(), true);
}

void Worker::report_to(admin::Collector& collector) {
  collector_ = &collector;
  place_ = collector.add(*this);
}

admin::WorkerReport Worker::report() const {
  admin::WorkerReport report{.sessions = table_.report(), .tunnels = {}, .fars = {}};
  for (const auto& near : nears_) {
    if (near) report.tunnels[near->name()] += {near->connections(), near->streams()};
  }
  for (const auto& far : fars_) report.fars[far->name()] += {far->connections(), far->streams()};
  return report;
}

void Worker::ask_report() {
  report_wanted_.store(true, std::memory_order_relaxed);
  wake_.call();
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
  if (report_wanted_.exchange(false, std::memory_order_relaxed)) {
    collector_->take(place_, report(), false);
  }
  const Order order = order_.load(std::memory_order_relaxed);
  if (order == Order::none) return;
  if (!draining_) {
    draining_ = true;
    for (const auto& door : doors_) door->close();
    for (const auto& far : fars_) far->drain();
    for (const auto& near : nears_) {
      if (near) near->drain();
    }
  }
  if (order == Order::cut) {
    table_.cut_all();
    connections_.cut_all();
    arm(loop_.now() + parting_ms);
  }
  stop_if_over();
}

// The server leg of a session whose route has a tunnel. A server that the client has chosen is
// named by its address; any other as the file names it, since the far end looks names up.
std::unique_ptr<relay::Leg> Worker::leg_to_server(const relay::Session& session) {
  const relay::Route& route = session.route();
  if (route.tunnel < 0) return nullptr;
  const base::Address* const chosen = session.server();
  return nears_[static_cast<std::size_t>(route.tunnel)]->leg(
      chosen != nullptr ? chosen->text() : route.server.text(), session.client(),
      route.connect_timeout);
}

void Worker::on_empty() { stop_if_over(); }

void Worker::on_no_connections() { stop_if_over(); }

// A connection of a tunnel says goodbye when its last stream is gone, and waits as long as the
// other end takes what sessions have written that are over: to cut it sooner would lose that. One
// that has nothing to deliver does not wait long.
void Worker::stop_if_over() {
  if (!draining_ || !table_.empty()) return;
  if (!connections_.empty()) {
    if (!armed()) arm(loop_.now() + parting_ms);
    return;
  }
  disarm();
  poller_.stop();
}

// Enough of parting.
void Worker::on_time() {
  if (order_.load(std::memory_order_relaxed) == Order::cut) return connections_.cut_all();
  if (!table_.empty()) return;  // on_empty() comes
  connections_.cut_unused();
  arm(loop_.now() + parting_ms);
}

}  // namespace finhold::app
