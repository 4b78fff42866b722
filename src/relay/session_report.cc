#include "relay/session_report.h"

#include "relay/session.h"
#include "relay/session_log.h"

namespace finhold::relay {

using base::Flow;
using core::FlowState;

namespace {

constexpr std::array both_flows{Flow::to_server, Flow::to_client};

bool is_half_closed(const core::FinPolicy& policy) {
  return core::has_ended(policy.flow(Flow::to_server)) !=
         core::has_ended(policy.flow(Flow::to_client));
}

}  // namespace

void count_done(const Session& session, RouteCounts& counts) {
  const core::FinPolicy& policy = session.policy_;
  for (const Flow flow : both_flows) {
    counts.bytes[base::index(flow)] += session.total(flow);
    const core::Release release = policy.release(flow);
    if (release == core::Release::none) continue;
    ++counts.fins[base::index(flow)][static_cast<std::size_t>(release)];
  }
  if (session.was_held_ && !session.holding_) counts.holds.add(session.held_ms_);
}

void count_now(const Session& session, RouteCounts& counts) {
  ++counts.sessions;
  if (session.phase_ == Session::Phase::dialing) ++counts.dialing;
  if (is_half_closed(session.policy_)) ++counts.half_closed;
  for (const Flow flow : both_flows) {
    if (session.policy_.flow(flow) == FlowState::held) ++counts.held[base::index(flow)];
  }
}

SessionState state_of(const Session& session, net::Instant now) {
  using Phase = SessionState::Phase;
  SessionState state{.id = session.id(),
                     .route = session.route().name,
                     .client = session.client(),
                     .server = server_text(session),
                     .phase = Phase::relaying,
                     .age_ms = now - session.started_at_,
                     .half_closed = is_half_closed(session.policy_)};
  switch (session.phase_) {
    case Session::Phase::announcing:
      state.phase = Phase::announcing;
      break;
    case Session::Phase::dialing:
      state.phase = Phase::dialing;
      break;
    case Session::Phase::relaying:
      if (session.policy_.failing()) state.phase = Phase::closing;
      break;
    case Session::Phase::closing:
    case Session::Phase::retired:
      state.phase = Phase::closing;
      break;
  }
  for (const Flow flow : both_flows) {
    SessionState::Flow& one = state.flows[base::index(flow)];
    one.state = session.policy_.flow(flow);
    one.release = session.policy_.release(flow);
    one.bytes = session.total(flow);
    one.blocked = session.movers_[base::index(flow)].waiting();
    if (core::has_ended(one.state)) {
      one.ended_ms = now - session.stamps_.ended[base::index(flow)];
    }
    if (session.any_end_ && session.first_end_ == flow) {
      one.held_ms = session.holding_ ? now - session.held_since_ : session.held_ms_;
      one.quiet_ms = session.quiet_ms();
      one.needs = session.end_needs();
    }
  }
  return state;
}

}  // namespace finhold::relay
