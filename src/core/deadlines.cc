#include "core/deadlines.h"

#include <algorithm>

namespace finhold::core {

using base::Flow;

namespace {

Instant after(Instant start, const base::Limit& limit) {
  return start + static_cast<Instant>(limit->count());
}

// 0 is what a flow has that has not ended.
Instant first_end(const Stamps& stamps) {
  if (stamps.ended[0] == 0 || stamps.ended[1] == 0) return stamps.ended[0] + stamps.ended[1];
  return std::min(stamps.ended[0], stamps.ended[1]);
}

void consider(std::optional<Deadline>& best, Instant at, Event::Kind kind, base::Side side) {
  if (!best || at < best->at) best = Deadline{at, Event{kind, side}};
}

// R4: the leg that is left gets what came from the one that failed; `hold_at_most` bounds that too,
// unless its end had come: that is no reset of the flow.
void consider_delivery(std::optional<Deadline>& best, const FinPolicy& policy,
                       const Stamps& stamps) {
  const base::Side failed =
      policy.failed(base::Side::client) ? base::Side::client : base::Side::server;
  const Instant moved = stamps.moved[base::index(base::flow_from(failed))];
  const auto within = static_cast<Instant>(policy.settings().vanished_after.count());
  consider(best, std::max(stamps.phase, moved) + within, Event::Kind::undelivered, failed);
  const base::Limit& hold = policy.settings().hold_at_most;
  if (!hold || hold->count() == 0 || stamps.ended_before_failure) return;
  consider(best, after(stamps.phase, policy.settings().hold_at_most), Event::Kind::undelivered,
           failed);
}

// R3(c) and (d).
void consider_held(std::optional<Deadline>& best, const FinPolicy& policy, const Stamps& stamps,
                   Flow flow, Instant now) {
  const FinSettings& settings = policy.settings();
  const base::Side source = base::source_of(flow);
  const Instant ended = stamps.ended[base::index(flow)];
  if (policy.waits_for_quiet(flow)) {
    const Instant since = quiet_since(stamps, flow, now);
    const Instant at = stamps.quiet_ms != 0
                           ? since + stamps.quiet_ms
                           : after(since, settings.release_when_quiet[base::index(flow)]);
    consider(best, at, Event::Kind::quiet, source);
  }
  if (policy.waits_for_hold_limit(flow)) {
    consider(best, after(ended, settings.hold_at_most), Event::Kind::hold_limit, source);
  }
}

}  // namespace

Instant quiet_since(const Stamps& stamps, Flow ended, Instant now) {
  const std::size_t other_way = base::index(base::other(ended));
  if (stamps.blocked[other_way]) return now;
  return std::max({stamps.ended[base::index(ended)], stamps.moved[other_way],
                   stamps.in_flight[base::index(ended)]});
}

std::optional<Deadline> next_deadline(const FinPolicy& policy, const Stamps& stamps, Instant now) {
  std::optional<Deadline> best;
  const FinSettings& settings = policy.settings();
  const auto limit = [&best](Instant since, const base::Limit& within, Event::Kind kind) {
    if (within) consider(best, after(since, within), kind, base::Side::client);
  };
  const Instant moved = std::max({stamps.phase, stamps.moved[0], stamps.moved[1]});
  if (policy.failing()) {
    consider_delivery(best, policy, stamps);
  } else if (!policy.over() && !(policy.half_closed() && settings.half_closed_idle)) {
    limit(moved, settings.idle, Event::Kind::idle);
  }
  if (stamps.both_ends != 0 && !policy.failing() && !policy.over()) {
    limit(std::max(stamps.both_ends, moved), settings.closing, Event::Kind::closing);
  }
  if (!policy.half_closed()) return best;

  for (const Flow flow : {Flow::to_server, Flow::to_client}) {
    consider_held(best, policy, stamps, flow, now);
  }
  limit(std::max(first_end(stamps), moved), settings.half_closed_idle,
        Event::Kind::half_closed_idle);
  limit(first_end(stamps), settings.half_closed_total, Event::Kind::half_closed_total);
  return best;
}

std::optional<Deadline> closing_deadline(const FinSettings& settings, const Stamps& stamps) {
  std::optional<Deadline> best;
  const Instant last = std::max({stamps.both_ends, stamps.moved[0], stamps.moved[1]});
  if (settings.closing) {
    consider(best, after(last, settings.closing), Event::Kind::closing, base::Side::client);
  }
  if (settings.half_closed_total) {
    consider(best, after(first_end(stamps), settings.half_closed_total),
             Event::Kind::half_closed_total, base::Side::client);
  }
  return best;
}

}  // namespace finhold::core
