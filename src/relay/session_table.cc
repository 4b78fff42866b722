#include "relay/session_table.h"

#include <algorithm>
#include <array>
#include <functional>
#include <new>

#include "relay/session_log.h"

namespace finhold::relay {

SessionTable::SessionTable(net::Loop& loop, net::Poller& poller, net::Timers& timers,
                           SessionQuota& quota, Owner& owner, const TableOptions& options)
    : net::Timer(timers),
      loop_(loop),
      poller_(poller),
      timers_(timers),
      quota_(quota),
      owner_(owner),
      check_every_ms_(options.check_every_ms),
      resolver_(loop),
      scratch_(loop, options.buffer_per_flow, options.splicing, options.most_pipes),
      trimmer_(loop, timers, scratch_.blocks()),
      gone_watch_(loop, timers) {
  poller_.add_turn_end(*this);
}

SessionTable::~SessionTable() {
  cut_all();
  reap();
  poller_.remove_turn_end(*this);
}

Session& SessionTable::add(const Route& route) {
  if (!armed()) arm(loop_.now() + check_every_ms_);
  RouteQuota& quota = quota_of(route);
  // So that retire() needs no memory for it. All that may fail stands before the session is there.
  if (retired_.capacity() <= sessions_.size()) retired_.reserve(2 * sessions_.size() + 16);
  sessions_.push_back(std::make_unique<Session>(*this, route, quota_.next_id()));
  quota_.take();
  quota.take();
  Session& session = *sessions_.back();
  session.slot_ = static_cast<std::uint32_t>(sessions_.size() - 1);
  return session;
}

void SessionTable::open(const Route& route, net::Descriptor client, const base::Address& address) {
  start(route, [&](Session& session) { session.start(std::move(client), address); });
}

void SessionTable::open(const Route& route, std::unique_ptr<Leg> client,
                        const base::Address& client_address,
                        const std::vector<base::Address>& servers, const base::Address& via) {
  start(route,
        [&](Session& session) { session.start(std::move(client), client_address, servers, via); });
}

// Without memory for it, it is the new session that ends, and its client is reset.
template <typename Start>
void SessionTable::start(const Route& route, const Start& start) {
  Session* session = nullptr;
  try {
    session = &add(route);
    start(*session);
  } catch (const std::bad_alloc&) {
    if (session == nullptr) {
      if (const auto left_out = refusals_.take(loop_.now())) log_no_memory(route, *left_out);
    } else if (!session->retired()) {
      session->abort(core::Ending::local_error);
    }
  }
}

void SessionTable::queue(Session& session) {
  if (session.queued_) return;
  session.queued_ = true;
  queue_.push_back(&session);
}

void SessionTable::retire(Session& session) {
  // Before the line: who reads it may connect in this session's place.
  quota_.give_back();
  RouteQuota& of_route = quota_of(session.route());
  of_route.give_back();
  if (session.counted_) of_route.clients().give_back(session.counted_as());
  log_ending(session);
  RouteCounts& counts = done_[session.route().name];
  count_done(session, counts);
  ++counts.endings[static_cast<std::size_t>(session.ending())];
  retired_.push_back(&session);
}

RouteQuota& SessionTable::quota_of(const Route& route) {
  RouteQuota*& quota = route_quotas_[route.name];
  if (quota == nullptr) quota = &quota_.of_route(route.name);
  return *quota;
}

core::EndNeeds SessionTable::end_needs(const Session& session, base::Flow flow) {
  return ends_.needs(session.route().name, server_text(session), flow);
}

void SessionTable::learn(const Session& session, base::Flow flow, core::EndLesson lesson) {
  const auto needs = ends_.learn(session.route().name, server_text(session), flow, lesson);
  constexpr net::Instant hour_ms = 3'600'000;
  if (!needs.is_lost_again_and_again()) return;
  if (advised_at_ != 0 && loop_.now() < advised_at_ + hour_ms) return;
  advised_at_ = loop_.now();
  log_lost_behind_ends(session);
}

void SessionTable::note_dial(const Session& session, net::Instant took_ms) {
  done_[session.route().name].dials.add(took_ms);
}

SessionReport SessionTable::report() const {
  SessionReport report{.routes = done_, .sessions = {}};
  // Sessions of one route mostly come one after another.
  RouteCounts* counts = nullptr;
  const Route* of = nullptr;
  std::array<std::size_t, 2> listed{};  // others, half-closed ones
  for (const auto& session : sessions_) {
    if (session->retired()) continue;  // done_ has it
    if (of != &session->route()) {
      of = &session->route();
      counts = &report.routes[of->name];
    }
    count_done(*session, *counts);
    const std::uint64_t half_closed = counts->half_closed;
    count_now(*session, *counts);
    std::size_t& kind = listed[counts->half_closed > half_closed ? 1 : 0];
    if (kind == most_listed) continue;
    ++kind;
    report.sessions.push_back(state_of(*session, loop_.now()));
  }
  return report;
}

bool SessionTable::turn_end() {
  budget_ = std::max(FlowMover::copy_size, most_per_turn / std::max<std::size_t>(bulk_flows_, 1));
  bulk_flows_ = 0;
  running_.swap(queue_);
  for (Session* session : running_) {
    session->queued_ = false;
    session->resume();
  }
  running_.clear();
  const bool was_busy = !retired_.empty();
  reap();
  if (was_busy && sessions_.empty()) {
    scratch_.trim();
    owner_.on_empty();
  }
  trimmer_.look();
  return !queue_.empty();
}

void SessionTable::reap() {
  for (Session* session : retired_) {
    const std::uint32_t slot = session->slot_;
    if (slot + 1 != sessions_.size()) {
      sessions_[slot].swap(sessions_.back());
      sessions_[slot]->slot_ = slot;
    }
    sessions_.pop_back();
  }
  retired_.clear();
}

void SessionTable::on_time() {
  for (const auto& session : sessions_) session->check_answers();
  if (!sessions_.empty()) arm(loop_.now() + check_every_ms_);
}

std::vector<const Route*> SessionTable::routes_in_use() const {
  std::vector<const Route*> routes;
  for (const auto& session : sessions_) {
    // Sessions of one route are often neighbours.
    if (routes.empty() || routes.back() != &session->route()) routes.push_back(&session->route());
  }
  std::sort(routes.begin(), routes.end(), std::less<>());
  routes.erase(std::unique(routes.begin(), routes.end()), routes.end());
  return routes;
}

void SessionTable::cut_all() {
  for (const auto& session : sessions_) session->cut();
}

}  // namespace finhold::relay
