#include "core/fin_policy.h"

#include "base/check.h"

namespace finhold::core {

using base::Flow;
using base::Side;

namespace {

constexpr std::array both_flows{Flow::to_server, Flow::to_client};
constexpr std::array both_sides{Side::client, Side::server};

bool at_once(const base::Limit& limit) { return limit && limit->count() == 0; }

}  // namespace

bool FinPolicy::possible(Event event) const {
  if (over_) return false;
  const Flow from = base::flow_from(event.side);
  switch (event.kind) {
    case Event::Kind::ended:
      // Into a leg that has failed nothing goes, an end neither.
      return flow(from) == FlowState::flowing && !failed(base::other(event.side));
    case Event::Kind::broken:
      return flow(from) == FlowState::flowing && failed(event.side);
    case Event::Kind::drained:
      return (flow(from) == FlowState::ended || flow(from) == FlowState::broken) &&
             !failed(base::other(event.side));
    case Event::Kind::gone:
      return has_ended(from) && !gone(event.side) && !failing();
    case Event::Kind::quiet:
      return waits_for_quiet(from);
    case Event::Kind::hold_limit:
      return waits_for_hold_limit(from);
    case Event::Kind::half_closed_idle:
      return half_closed() && settings_->half_closed_idle.has_value();
    case Event::Kind::half_closed_total:
      return half_closed() && settings_->half_closed_total.has_value();
    case Event::Kind::closing:
      return !failing() && settings_->closing.has_value();
    case Event::Kind::idle:
      return settings_->idle.has_value() && !failing();
    case Event::Kind::delivered:
      return failed(event.side) &&
             (flow(from) == FlowState::released || flow(from) == FlowState::broken_drained);
    case Event::Kind::undelivered:
      return failed(event.side);
    case Event::Kind::reset:
      return !failed(event.side);
    case Event::Kind::cut:
      return true;
  }
  return false;
}

Actions FinPolicy::step(Event event) {
  FINHOLD_CHECK(possible(event));
  Actions actions;
  const Flow from = base::flow_from(event.side);
  switch (event.kind) {
    case Event::Kind::ended:
      state(from) = FlowState::ended;
      break;
    case Event::Kind::broken:
      state(from) = FlowState::broken;
      break;
    case Event::Kind::drained:
      state(from) = flow(from) == FlowState::broken ? FlowState::broken_drained : FlowState::held;
      break;
    case Event::Kind::gone:
      gone_[base::index(event.side)] = true;
      break;
    case Event::Kind::quiet:
      release(from, Release::quiet, actions);
      break;
    case Event::Kind::hold_limit:
      release(from, Release::hold_limit, actions);
      break;
    case Event::Kind::reset:
      actions.reset = over_ = failing();
      failed_[base::index(event.side)] = gone_[base::index(event.side)] = true;
      if (over_) return actions;
      // From here on these two make no difference.
      gone_[base::index(base::other(event.side))] = nursed_[base::index(event.side)] = false;
      break;
    case Event::Kind::delivered:
      // The other way was open, or its end never got there: its source must not take it for well.
      actions.finished =
          flow(from) == FlowState::released && flow(base::other(from)) == FlowState::released;
      actions.reset = !actions.finished;
      over_ = true;
      return actions;
    case Event::Kind::undelivered:
    case Event::Kind::half_closed_idle:
    case Event::Kind::half_closed_total:
    case Event::Kind::closing:
    case Event::Kind::idle:
    case Event::Kind::cut:
      actions.reset = true;
      over_ = true;
      return actions;
  }
  release_what_may(actions);
  // One that is failing is over when the other leg has everything.
  actions.finished = !failing() && flow(Flow::to_server) == FlowState::released &&
                     flow(Flow::to_client) == FlowState::released;
  over_ = actions.finished;
  if (!over_) nurse_half_closed(actions);
  actions.hold[base::index(from)] =
      event.kind == Event::Kind::drained && flow(from) == FlowState::held;
  return actions;
}

// Sends on every FIN that a rule lets go.
void FinPolicy::release_what_may(Actions& actions) {
  for (const Flow each : both_flows) {
    if (flow(each) != FlowState::held || failed(base::sink_of(each))) continue;
    if (!crosses(settings_->crosses, base::sink_of(each))) {
      release(each, Release::not_held, actions);
    } else if (has_ended(base::other(each))) {
      release(each, Release::other_ended, actions);
    } else if (gone(base::source_of(each))) {
      release(each, Release::source_gone, actions);
    } else if (at_once(settings_->release_when_quiet[base::index(each)])) {
      release(each, Release::quiet, actions);
    } else if (at_once(settings_->hold_at_most)) {
      release(each, Release::hold_limit, actions);
    }
  }
}

void FinPolicy::release(Flow flow, Release reason, Actions& actions) {
  state(flow) = FlowState::released;
  releases_[base::index(flow)] = reason;
  actions.send_fin[base::index(base::sink_of(flow))] = true;
}

// A crossing leg with exactly one FIN on its wire, sent by us or by its other end, is what
// middleboxes forget: it is nursed from then on.
void FinPolicy::nurse_half_closed(Actions& actions) {
  for (const Side side : both_sides) {
    const bool fin_sent = flow(base::flow_into(side)) == FlowState::released;
    const bool fin_read = has_ended(base::flow_from(side));
    if (!crosses(settings_->crosses, side) || fin_sent == fin_read || failed(side)) continue;
    actions.nurse[base::index(side)] = !nursed_[base::index(side)];
    nursed_[base::index(side)] = true;
  }
}

bool FinPolicy::gone_matters(Side side) const {
  const Flow from = base::flow_from(side);
  const bool waits = flow(from) == FlowState::ended || flow(from) == FlowState::held;
  return !over_ && !failing() && waits && !gone(side) &&
         flow(base::other(from)) == FlowState::flowing &&
         crosses(settings_->crosses, base::sink_of(from)) &&
         !at_once(settings_->release_when_quiet[base::index(from)]) &&
         !at_once(settings_->hold_at_most);
}

bool FinPolicy::half_closed() const {
  return !over_ && (has_ended(Flow::to_server) || has_ended(Flow::to_client));
}

bool FinPolicy::is_held(Flow flow) const {
  return !over_ && this->flow(flow) == FlowState::held && !failed(base::sink_of(flow));
}

bool FinPolicy::waits_for_quiet(Flow flow) const {
  return is_held(flow) && settings_->release_when_quiet[base::index(flow)].has_value();
}

bool FinPolicy::waits_for_hold_limit(Flow flow) const {
  return is_held(flow) && settings_->hold_at_most.has_value();
}

const char* name(FlowState state) {
  switch (state) {
    case FlowState::flowing:
      return "flowing";
    case FlowState::ended:
      return "ended";
    case FlowState::held:
      return "held";
    case FlowState::released:
      return "released";
    case FlowState::broken:
      return "broken";
    case FlowState::broken_drained:
      return "broken-drained";
  }
  return "";
}

const char* name(Release release, Flow flow) {
  switch (release) {
    case Release::none:
      return "never";
    case Release::not_held:
      return "not-held";
    case Release::other_ended:
      return base::sink_of(flow) == Side::server ? "server-ended" : "client-ended";
    case Release::source_gone:
      return "source-gone";
    case Release::quiet:
      return "quiet";
    case Release::hold_limit:
      return "hold-limit";
  }
  return "";
}

}  // namespace finhold::core
