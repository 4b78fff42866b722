#include "core/deadlines.h"

#include <algorithm>

namespace finhold::core {

using base::Flow;

namespace {

Instant after(Instant start, const base::Limit& limit) {
  return start + static_cast<Instant>(limit->count());
}

void consider(std::optional<Deadline>& best, Instant at, Event::Kind kind, base::Side side) {
  if (!best || at < best->at) best = Deadline{at, Event{kind, side}};
}

}  // namespace

std::optional<Deadline> next_deadline(const FinPolicy& policy, const Stamps& stamps, Instant now) {
  std::optional<Deadline> best;
  if (!policy.half_closed()) return best;
  const FinSettings& settings = policy.settings();

  for (const Flow flow : {Flow::to_server, Flow::to_client}) {
    const base::Side source = base::source_of(flow);
    const Instant ended = stamps.ended[base::index(flow)];
    if (policy.waits_for_quiet(flow)) {
      const std::size_t other_way = base::index(base::other(flow));
      const Instant quiet_since =
          stamps.blocked[other_way]
              ? now
              : std::max({ended, stamps.moved[other_way], stamps.in_flight[base::index(flow)]});
      consider(best, after(quiet_since, settings.release_when_quiet), Event::Kind::quiet, source);
    }
    if (policy.waits_for_hold_limit(flow)) {
      consider(best, after(ended, settings.hold_at_most), Event::Kind::hold_limit, source);
    }
  }

  const bool to_server_ended = policy.flow(Flow::to_server) != FlowState::flowing;
  const bool to_client_ended = policy.flow(Flow::to_client) != FlowState::flowing;
  const Instant first = to_server_ended && to_client_ended
                            ? std::min(stamps.ended[0], stamps.ended[1])
                            : stamps.ended[to_server_ended ? 0 : 1];
  if (settings.half_closed_idle) {
    const Instant last = std::max({first, stamps.moved[0], stamps.moved[1]});
    consider(best, after(last, settings.half_closed_idle), Event::Kind::half_closed_idle,
             base::Side::client);
  }
  if (settings.half_closed_total) {
    consider(best, after(first, settings.half_closed_total), Event::Kind::half_closed_total,
             base::Side::client);
  }
  return best;
}

}  // namespace finhold::core
