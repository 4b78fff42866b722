// A session that relays: both flows move as far as they can, each end and each failure is a step of
// the closing rules, and their actions are carried out in a fixed order.
#include <algorithm>
#include <array>

#include "relay/keepalive_options.h"
#include "relay/session.h"
#include "relay/session_table.h"

namespace finhold::relay {

using base::Flow;
using base::Side;
using core::Event;

namespace {

// Between two looks whether the last byte was acknowledged: 1 ms at first, then twice as long each.
constexpr int longest_look_ms = 64;

constexpr std::array both_flows{Flow::to_server, Flow::to_client};
constexpr std::array both_sides{Side::client, Side::server};

}  // namespace

void Session::resume() {
  if (phase_ == Phase::relaying) advance();
}

// Everything that can be done now. Both flows are looked at: room in a leg that was full lets a
// flow move, and bytes that have come let the other.
void Session::advance() {
  const bool was_failing = policy_.failing();
  bool more = move_both();
  find_failures();
  // What came before the failure; and what waits in the other leg, of which no event tells again.
  if (policy_.failing() && !was_failing) {
    more = move_both() || more;
    find_failures();
  }
  if (phase_ == Phase::relaying && policy_.failing()) look_whether_delivered();
  if (phase_ != Phase::relaying) return;
  if (more) table_->queue(*this);
  watch_deadlines();
}

void Session::find_failures() {
  for (const Side side : both_sides) {
    if (phase_ != Phase::relaying || leg(side).failed() == 0 || policy_.failed(side)) continue;
    leg_failed(side);
  }
}

bool Session::move_both() {
  bool more = false;
  for (const Flow flow : both_flows) {
    if (phase_ == Phase::relaying) more = move(flow) || more;
  }
  return more;
}

// True: there is more to move, later.
bool Session::move(Flow flow) {
  const Side source = base::source_of(flow);
  const Side sink = base::sink_of(flow);
  FlowMover& mover = movers_[base::index(flow)];
  // What still comes goes nowhere, but would block a sender that does not read, until it has sent,
  // what it is still to get.
  if (policy_.failed(sink)) {
    const bool more = mover.discard(leg(source), table_->scratch(), table_->budget());
    if (more) table_->note_bulk();
    return more;
  }
  const auto outcome = mover.move(leg(source), leg(sink), table_->scratch(), table_->budget());
  if (end_watch_.is_watching()) hear(flow, outcome.moved > 0, outcome.ended);
  if (outcome.moved > 0) stamps_.flow_moved(flow, now());
  if (outcome.moved >= FlowMover::copy_size) table_->note_bulk();
  stamps_.blocked[base::index(flow)] = mover.waiting();
  if (outcome.ended) {
    note_end(flow);
    if (policy_.failed(source)) note_failure(source);
    step({Event::Kind::ended, source});
    // Before the FIN would be held.
    look_whether_gone(false);
  }
  if (outcome.broken) {
    if (!policy_.failed(source)) leg_failed(source);
    if (!policy_.over()) note_failure(source);  // what it failed by may be known only now
    const Event broken{Event::Kind::broken, source};
    if (policy_.possible(broken)) step(broken);
  }
  // A sink that has failed takes nothing more: that is no drained flow, even if nothing waits.
  if (!mover.waiting() && leg(sink).failed() == 0 &&
      policy_.possible({Event::Kind::drained, source})) {
    step({Event::Kind::drained, source});
  }
  return outcome.more;
}

void Session::note_end(Flow flow) {
  stamps_.flow_ended(flow, now());
  if (any_end_) return;
  any_end_ = true;
  first_end_ = flow;
}

void Session::look_whether_gone() {
  look_whether_gone(true);
  if (has_untold_failure()) advance();
}

// A FIN was refused, of which no event tells, and not in advance(), which looks for failures.
bool Session::has_untold_failure() {
  return phase_ == Phase::relaying &&
         std::any_of(both_sides.begin(), both_sides.end(), [this](Side side) {
           return leg(side).failed() != 0 && !policy_.failed(side);
         });
}

// R3(b). One question, and only where the answer makes a difference: only one flow has ended then.
void Session::look_whether_gone(bool found_before) {
  const Side side = base::source_of(first_end_);
  if (phase_ != Phase::relaying || !policy_.gone_matters(side)) {
    return table_->gone_watch().remove(*this);
  }
  // Our own legs have the two addresses that would be asked for, and neither end is on this
  // machine.
  if (route_->source.kind == Source::Kind::client) return;
  const TcpLeg* const tcp = leg(side).tcp();
  if (tcp == nullptr) return;
  auto other_end = tcp->other_end();
  if (!other_end) return;  // the leg has failed; its event is on the way
  // A redirected client knows nothing of us.
  if (side == Side::client && route_->intercept == Intercept::redirect) {
    other_end->believed = server_;
  }
  switch (table_->gone_watch().kernel().ask(*other_end)) {
    case net::OtherEnd::half_closed:
      return table_->gone_watch().add(*this);
    case net::OtherEnd::not_found:
      // What was never found is remote, or behind a NAT; what was found is no more.
      if (!found_before) return;
      break;
    case net::OtherEnd::closed:
      break;
    case net::OtherEnd::connected:
    case net::OtherEnd::unknown:
      return;
  }
  table_->gone_watch().remove(*this);
  gone_ = core::Gone::local_closed;
  step({Event::Kind::gone, side});
}

// R4: the other leg gets what came before the failure; this one gets nothing more.
void Session::leg_failed(Side side) {
  if (!policy_.failing()) note_failure(side);
  if (end_watch_.is_watching() && side == base::sink_of(first_end_)) {
    learn(end_watch_.failure(leg(side).failed_by_probe()));
  }
  note_undelivered(side);
  movers_[base::index(base::flow_into(side))].release(table_->scratch());
  stamps_.phase = now();
  stamps_.ended_before_failure = leg(side).end_arrived();
  look_again_ms_ = 1;
  step({Event::Kind::reset, side});
}

void Session::note_failure(Side side) {
  ending_ = leg(side).ending_of_failure(side);
  if (leg(side).ended()) note_gone_by_failure(side);
}

// Of a leg that had ended: whatever it failed by, nobody is behind it any more.
void Session::note_gone_by_failure(Side side) {
  if (gone_ != core::Gone::none) return;
  gone_ = leg(side).failed_by_probe() ? core::Gone::keepalive : core::Gone::reset;
}

void Session::step(Event event) { apply(policy_.step(event)); }

void Session::apply(const core::Actions& actions) {
  for (const Flow flow : both_flows) {
    if (actions.hold[base::index(flow)] && flow == first_end_) {
      holding_ = true;
      was_held_ = true;
      held_since_ = now();
      watch_held_end(flow);
    }
    if (!actions.send_fin[base::index(base::sink_of(flow))]) continue;
    if (holding_ && flow == first_end_) {
      holding_ = false;
      held_ms_ = now() - held_since_;
      end_watch_.released(policy_.release(flow));
    }
    // The last FIN goes out with close(), which saves a system call.
    if (!actions.finished) leg(base::sink_of(flow)).send_fin();
  }
  for (const Side side : both_sides) {
    if (!actions.nurse[base::index(side)]) continue;
    leg(side).set_keepalive(nursing_options(*route_, side));
  }
  if (actions.reset) abort(ending_);
  if (actions.finished) {
    ending_ = core::Ending::finished;
    close_legs();
  }
}

// They may all have arrived since the last look, and "auto" waits for no more than a few round
// trips.
// (Answers to keepalives say nothing of that: so only if some were on their way then.)
void Session::note_delivery_of_held(Flow flow, int on_their_way) {
  Leg& to = leg(base::sink_of(flow));
  core::Instant& in_flight = stamps_.in_flight[base::index(flow)];
  if (to.unacknowledged() > 0) {
    in_flight = now();
  } else if (const TcpLeg* const tcp = to.tcp(); tcp != nullptr && on_their_way > 0) {
    in_flight = std::max(in_flight, now() - std::min(tcp->last_answer_ms(), now()));
  }
}

// R3(c), "auto": how long the FIN is held, and what that shows.
void Session::watch_held_end(Flow flow) {
  if (!route_->fin.learns_quiet[base::index(flow)]) return;
  const TcpLeg* const to = leg(base::sink_of(flow)).tcp();
  const base::Milliseconds round_trip = to != nullptr ? to->round_trip() : base::Milliseconds(0);
  end_needs_ = table_->end_needs(*this, flow);
  short_quiet_ms_ = static_cast<std::uint16_t>(core::short_quiet(round_trip).count());
  in_kernel_[base::index(flow)] = leg(base::sink_of(flow)).unacknowledged();
  stamps_.quiet_ms = static_cast<std::uint32_t>(end_needs_.quiet(round_trip).count());
  end_watch_.held();
}

// What came that way while a FIN was held, or behind it.
void Session::hear(Flow flow, bool bytes, bool end) {
  if (flow == first_end_ || (!bytes && !end)) return;
  core::Instant since = core::quiet_since(stamps_, first_end_, now());
  base::Milliseconds round_trip{0};
  if (end_watch_.waits_for_answer()) {
    since = held_since_ + held_ms_;
    const TcpLeg* const to = leg(base::source_of(flow)).tcp();
    if (to != nullptr) round_trip = to->least_round_trip();
  }
  const core::EndWatch::Heard heard{now() - std::min(since, now()), short_quiet_ms_,
                                    static_cast<core::Instant>(round_trip.count())};
  if (bytes) learn(end_watch_.bytes(heard));
  if (end) learn(end_watch_.end(heard));
}

void Session::learn(core::EndLesson lesson) {
  if (lesson != core::EndLesson::none) table_->learn(*this, first_end_, lesson);
}

// Each flow has ended, or waits for its reader, perhaps with its end behind what waits.
bool Session::only_reader_waited_for() const {
  const auto waits = [this](Flow flow) {
    return stamps_.blocked[base::index(flow)] || core::has_ended(policy_.flow(flow));
  };
  return waits(Flow::to_server) && waits(Flow::to_client);
}

// A FIN that waits behind bytes for a slow reader has crossed the box already, though it is no end
// yet: the policy nurses a leg whose end was read.
void Session::nurse_unread_end() {
  if (nurses_unread_end_) return;
  for (const Side side : both_sides) {
    const bool waits = stamps_.blocked[base::index(base::flow_from(side))];
    if (!waits || !core::crosses(route_->fin.crosses, side) || !leg(side).end_arrived()) continue;
    if (policy_.flow(base::flow_into(side)) == core::FlowState::released) continue;
    nurses_unread_end_ = true;
    leg(side).set_keepalive(nursing_options(*route_, side));
  }
}

void Session::watch_deadlines() {
  nurse_unread_end();
  if (stamps_.both_ends == 0 && only_reader_waited_for() && leg(Side::client).end_arrived() &&
      leg(Side::server).end_arrived()) {
    stamps_.both_ends = now();
  }
  auto deadline = core::next_deadline(policy_, stamps_, now());
  // That the last byte was acknowledged is no event; see look_whether_delivered().
  if (deadline && policy_.failing() && delivery_is_left()) {
    deadline->at = std::min(deadline->at, now() + look_again_ms_);
  }
  // While bytes move the deadline only recedes: it is asked again when the earlier time has come.
  if (deadline && armed() && net::Timer::deadline() <= deadline->at) return;
  if (deadline) {
    arm(deadline->at);
  } else {
    disarm();
  }
}

// The time of watch_deadlines() has come.
void Session::relaying_on_time() {
  const std::array<int, 2> before = in_kernel_;
  // Asked again: bytes may have moved since the timer was set.
  if (policy_.failing()) {
    note_deliveries();
    look_again_ms_ = static_cast<std::uint8_t>(std::min(2 * look_again_ms_, longest_look_ms));
    look_whether_delivered();
    if (phase_ != Phase::relaying) return;
  } else if (policy_.half_closed() || stamps_.both_ends != 0 || route_->fin.idle) {
    note_deliveries();
  }
  // Quiet counts from delivery: a sink cannot be waiting for the end before it has all bytes, so
  // the clock of R3(c) stands while some are unacknowledged. (2026-11-22;
  // tests/unit/core/deadlines_test.cc.)
  for (const Flow flow : both_flows) {
    if (policy_.waits_for_quiet(flow)) note_delivery_of_held(flow, before[base::index(flow)]);
  }
  const auto deadline = core::next_deadline(policy_, stamps_, now());
  if (deadline && deadline->at <= now()) {
    ending_ = core::ending_of_limit(deadline->event.kind).value_or(ending_);
    step(deadline->event);
  }
  if (has_untold_failure()) return advance();
  if (phase_ == Phase::relaying) watch_deadlines();
}

}  // namespace finhold::relay
