#include "server/worker.h"

#include <system_error>
#include <utility>

namespace finhold::server {

namespace {

relay::TableOptions table_options(const config::Config& config) {
  return {.buffer_per_flow = config.limits.buffer_per_flow, .splicing = config.limits.splice};
}

}  // namespace

Worker::Worker(WorkOrder first, relay::SessionQuota& quota, net::Wake& main)
    : net::Timer(timers_),
      wake_(loop_, *this),
      poller_(loop_),
      timers_(loop_),
      connections_(loop_, poller_, timers_, first.generation->config.limits.tunnel_window, *this),
      generations_(connections_, loop_, poller_, timers_),
      table_(loop_, poller_, timers_, quota, *this, table_options(first.generation->config)),
      listen_shared_{table_, quota, loop_, poller_, timers_},
      listeners_(listen_shared_, connections_),
      main_(main),
      first_(std::move(first)) {
  const base::Error error = reserve(first_.sockets);
  if (error.code != 0)
    throw std::system_error(error.code, std::generic_category(), error.operation);
  loop_.prepare();
}

Worker::~Worker() = default;

void Worker::run() {
  begin(std::exchange(first_, {}));
  poller_.run();
  life_.store(Life::over);
  if (collector_ != nullptr) collector_->take(place_, report(), true);
}

base::Error Worker::reserve(const std::vector<Sockets>& sockets) {
  for (const Sockets& each : sockets) {
    for (const net::Descriptor& socket : each.opened) {
      const base::Error error = poller_.reserve(socket.get());
      if (error.code != 0) return error;
    }
  }
  return {};
}

void Worker::report_to(admin::Collector& collector) {
  collector_ = &collector;
  place_ = collector.add(*this);
}

admin::WorkerReport Worker::report() const {
  admin::WorkerReport report{.sessions = table_.report(), .tunnels = {}, .fars = {}};
  generations_.count(report.tunnels);
  listeners_.count(report.fars);
  return report;
}

void Worker::ask_report() {
  report_wanted_.store(true, std::memory_order_relaxed);
  wake_.call();
}

void Worker::begin(WorkOrder order) {
  const config::Config& config = order.generation->config;
  if (!connects_ && !(config.tunnels.empty() && config.fars.empty())) {
    connects_ = true;
    connections_.begin();
  }
  // Near ends first: who comes in may need them at once.
  generations_.begin(order.generation);
  listeners_.begin(order.generation, std::move(order.sockets));
  forget_former();
}

// What sessions have ended without is seen to now and then: it costs a look at all of them.
void Worker::forget_former() {
  const auto in_use = table_.routes_in_use();
  const bool no_near_ends = generations_.forget_former(in_use);
  const bool no_far_ends = listeners_.forget_former(in_use);
  table_.check_every(generations_.check_every_ms());
  if (!no_near_ends || !no_far_ends) arm(loop_.now() + forget_every_ms);
}

void Worker::change(WorkOrder order) {
  {
    const std::lock_guard lock(mutex_);
    order_to_begin_ = std::move(order);
  }
  changing_.store(true);
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
  if (changing_.load()) {
    std::unique_lock lock(mutex_);
    auto next = std::exchange(order_to_begin_, std::nullopt);
    lock.unlock();
    if (next && !draining_) begin(*std::move(next));
    changing_.store(false);
    main_.call();
  }
  const Order order = order_.load(std::memory_order_relaxed);
  if (order == Order::none) return;
  if (!draining_) {
    draining_ = true;
    disarm();
    listeners_.drain();
    generations_.drain();
  }
  if (order == Order::cut) {
    table_.cut_all();
    connections_.cut_all();
    arm(loop_.now() + parting_ms);
  }
  stop_if_over();
}

std::unique_ptr<relay::Leg> Worker::leg_to_server(const relay::Session& session) {
  return generations_.leg_to_server(session);
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
  if (!draining_) return forget_former();
  if (order_.load(std::memory_order_relaxed) == Order::cut) return connections_.cut_all();
  if (!table_.empty()) return;  // on_empty() comes
  connections_.cut_unused();
  arm(loop_.now() + parting_ms);
}

}  // namespace finhold::server
