// When the rules of closing next need to hear of the clock: pure arithmetic on the stamps of a
// session. Nothing is armed per byte: the stamps are read when a deadline passes.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "base/side.h"
#include "core/fin_policy.h"

namespace finhold::core {

// Milliseconds of a monotonic clock.
using Instant = std::uint64_t;

// When things happened in a session.
struct Stamps {
  std::array<Instant, 2> ended{};  // by base::index(Flow): its end was read
  // By base::index(Flow): bytes of it last moved, into its sink or, where that was looked at, from
  // there to the other end.
  std::array<Instant, 2> moved{};
  std::array<bool, 2> blocked{};      // by base::index(Flow): bytes wait for a slow sink
  bool ended_before_failure = false;  // of the leg that failed: its end had come
  // Of the flow that is held: for how long nothing is to come the other way; 0: as the settings
  // say.
  std::uint32_t quiet_ms = 0;
  // By base::index(Flow): when bytes of it were last known to be on their way to its sink.
  std::array<Instant, 2> in_flight{};
  // The ends of both flows were seen to have come, that of one perhaps with bytes before it that
  // nobody has read, since their reader is slow; 0: not yet.
  Instant both_ends = 0;
  // When it began what it does now: to dial, to relay, to deliver what came from a leg that failed,
  // or, with both FINs out, to close.
  Instant phase = 0;

  void flow_moved(base::Flow flow, Instant now) { moved[base::index(flow)] = now; }
  void flow_ended(base::Flow flow, Instant now) { ended[base::index(flow)] = now; }
};

struct Deadline {
  Instant at;
  Event event;  // what to feed the policy at that time; still to be asked again then
};

// R3(c): since when nothing comes the other way, for a flow that has ended. `now` while that waits
// for a slow reader, or while the one who might wait for the end has not got all bytes before it.
Instant quiet_since(const Stamps& stamps, base::Flow ended, Instant now);

// The earliest deadline that the policy waits for; none if only the legs can bring news. A flow
// that is blocked by its reader is not quiet: its source is not waiting for an end, so the quiet
// time starts anew at `now`. Nor can a sink be waiting for an end that has not yet got all bytes
// before it. Requires that `stamps.ended` is set for every flow that has ended.
std::optional<Deadline> next_deadline(const FinPolicy& policy, const Stamps& stamps, Instant now);

// The same for a session whose policy is over, since both FINs are out, while a leg still has
// something for a slow reader.
std::optional<Deadline> closing_deadline(const FinSettings& settings, const Stamps& stamps);

}  // namespace finhold::core
