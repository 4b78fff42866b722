// How a session comes to its end: delivering what came from a leg that has failed, closing both
// legs in order, and resetting them.
#include <algorithm>
#include <cerrno>

#include "relay/session.h"
#include "relay/session_table.h"

namespace finhold::relay {

using base::Flow;
using base::Side;
using core::Event;

namespace {

// How long the acknowledgement of a mere FIN is waited for, see close_legs_with_lost_fin().
constexpr core::Instant last_fin_within_ms = 3000;

constexpr std::array both_flows{Flow::to_server, Flow::to_client};
constexpr std::array both_sides{Side::client, Side::server};

}  // namespace

// R4: a reset follows the bytes that came before it, and the FIN if an end did; to close with
// SO_LINGER {1, 0} would purge what the kernel still has of them. The acknowledgement of a FIN is
// an event, that of mere bytes is none, so it is looked for in between (watch_deadlines()). A FIN
// alone is not waited for as long as bytes are: a box may have swallowed it. (Delivered is not
// drained: a drained flow's bytes are in the kernel. 2026-11-25, the same tests as for
// TcpLeg::note_error().)
void Session::look_whether_delivered() {
  if (!delivery_is_left()) return;
  const Side failed = policy_.failed(Side::client) ? Side::client : Side::server;
  Leg& to = leg(base::other(failed));
  const TcpLeg* const tcp = to.tcp();
  const core::Instant since =
      std::max(stamps_.phase, stamps_.moved[base::index(base::flow_from(failed))]);
  // A FIN that still waits for room in the window is not one that a box has swallowed.
  const bool fin_alone = to.undelivered() == 0 && (tcp == nullptr || tcp->all_sent());
  if (to.unacknowledged() == 0 || (fin_alone && now() - since >= last_fin_within_ms)) {
    step({Event::Kind::delivered, failed});
  }
}

// Of a session with a leg that failed: the other one has accepted all that came from it.
bool Session::delivery_is_left() {
  const Side failed = policy_.failed(Side::client) ? Side::client : Side::server;
  const core::FlowState state = policy_.flow(base::flow_from(failed));
  return state == core::FlowState::released || state == core::FlowState::broken_drained;
}

// R9. A leg with bytes for a slow reader stays open until it has sent them (R1).
//
// Under tproxy the other end's packets reach a socket of ours only while the rules are there, and
// with --apply-rules they go when the last session has retired. The kernel would repeat what was
// lost on the way, but never hear of its arrival, and the other end's answers would go to the real
// server. So such a leg waits until everything is acknowledged. Under redirect a client is in our
// own network namespace: what was sent over loopback has arrived; and a server is reached without
// the rules. Other routes close at once, and pay nothing.
//
// So under tproxy the FIN goes out by shutdown(2), and the leg closes once SIOCOUTQ is 0: a FIN
// counts as one byte there, and its acknowledgement is an event (LAST_ACK to CLOSE: EPOLLHUP). A
// RST that answers nothing but the FIN comes from an end that closed long ago: `finished`.
// (2026-11-22; tests/integration/interception/test_diverted.py, tests/lab/test_gateway.py.)
void Session::close_legs() {
  const bool first = phase_ != Phase::closing;
  if (first) {
    phase_ = Phase::closing;
    stamps_.phase = now();
    if (stamps_.both_ends == 0) stamps_.both_ends = now();
    disarm();
  }
  for (const Side side : both_sides) {
    if (!leg(side).is_open()) continue;
    // The other end may have closed long ago and forgotten the connection; then a RST answers the
    // FIN, and that is no failure.
    const int code = leg(side).failed();
    if (code != 0 && (code == ETIMEDOUT || !leg(side).delivered())) {
      note_failure(side);
      note_undelivered(side);
    }
    static_cast<void>(leg(side).close_in_order(awaits_delivery()));
  }
  if (!leg(Side::client).is_open() && !leg(Side::server).is_open()) return retire();
  if (!first) return;
  note_deliveries();
  watch_closing();
}

// A reader that takes nothing more is given up, counted from the last byte that it took; how many
// it has taken is looked at a few times meanwhile.
void Session::watch_closing() {
  const auto deadline = core::closing_deadline(route_->fin, stamps_);
  if (!deadline && !awaits_delivery()) return;
  core::Instant soon = last_fin_within_ms;
  if (route_->fin.closing) {
    soon = std::clamp<core::Instant>(static_cast<core::Instant>(route_->fin.closing->count()) / 4,
                                     1, soon);
  }
  arm(deadline ? std::min(deadline->at, now() + soon) : now() + soon);
}

void Session::closing_on_time() {
  note_deliveries();
  const auto deadline = core::closing_deadline(route_->fin, stamps_);
  if (deadline && deadline->at <= now()) {
    for (const Side side : both_sides) {
      if (!leg(side).is_open() || leg(side).delivered()) continue;
      return abort(core::ending_of_limit(deadline->event.kind).value_or(ending_));
    }
    // Their readers have everything, but for a FIN.
    for (const Side side : both_sides) {
      if (leg(side).is_open()) leg(side).close_now();
    }
    return retire();
  }
  if (awaits_delivery()) close_legs_with_lost_fin();
  if (phase_ == Phase::closing) watch_closing();
}

// A box that forgot the connection at the first FIN has swallowed the last one: no acknowledgement
// will come. Bytes are waited for as long as their reader answers, a mere FIN is not.
void Session::close_legs_with_lost_fin() {
  if (now() - stamps_.phase < last_fin_within_ms) return;
  for (const Side side : both_sides) {
    if (leg(side).is_open() && leg(side).delivered()) leg(side).close_now();
  }
  if (!leg(Side::client).is_open() && !leg(Side::server).is_open()) retire();
}

void Session::abort(core::Ending ending) {
  ending_ = ending;
  dialer_.reset();
  Leg& client = leg(Side::client);
  if (phase_ == Phase::dialing && client.failed() == 0) client.refuse(ending);
  for (const Side side : both_sides) {
    if (leg(side).is_open() && leg(side).failed() == 0) note_undelivered(side);
    leg(side).reset();
  }
  retire();
}

// The leg is about to be lost with what it still has.
void Session::note_undelivered(Side sink) {
  const std::size_t flow = base::index(base::flow_into(sink));
  lost_[flow] = true;
  in_kernel_[flow] = leg(sink).undelivered();
}

// What a slow reader has taken from the kernel meanwhile has moved too.
void Session::note_deliveries() {
  for (const Flow flow : both_flows) {
    const Side sink = base::sink_of(flow);
    if (!leg(sink).is_open() || leg(sink).failed() != 0) continue;
    const int queued = leg(sink).unacknowledged();
    const int before = std::exchange(in_kernel_[base::index(flow)], queued);
    if (queued != before) stamps_.flow_moved(flow, now());
  }
}

void Session::cut() {
  switch (phase_) {
    case Phase::announcing:
    case Phase::dialing:
      abort(core::Ending::drain_limit);
      break;
    case Phase::relaying:
      ending_ = core::Ending::drain_limit;
      step({Event::Kind::cut});
      break;
    case Phase::closing:
      // Both flows have ended, and the kernel has their last bytes: it may go on trying. Under
      // tproxy it will never know whether they have arrived; and what a leg that is no TCP
      // connection still has goes with it.
      for (const Side side : both_sides) {
        if (!leg(side).is_open()) continue;
        const bool goes_with_us = leg(side).tcp() == nullptr && !leg(side).delivered();
        if (awaits_delivery() || goes_with_us) {
          ending_ = core::Ending::drain_limit;
          note_undelivered(side);
        }
        leg(side).close_now();
      }
      retire();
      break;
    case Phase::retired:
      break;
  }
}

}  // namespace finhold::relay
