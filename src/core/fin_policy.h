// The rules of closing, R1 to R9, as a pure state machine: an event in, actions out. There is no
// socket, clock or log in it; the session feeds it and carries out what it says. One machine a
// session, on the session's thread.
//
//   FinPolicy policy(settings);
//   Actions actions = policy.step({Event::Kind::ended, Side::client});
//
// The whole machine is printed, state by state, in fin_policy.states.txt, which a test compares.
//
// The rules by number:
//   R1 bytes first                    a FIN goes out only after `drained`
//   R2 a leg that crosses nothing     gets its FIN as soon as its flow has drained
//   R3 a crossing leg                 is held until (a) its own other end has ended, (b) the
//                                     source is gone, (c) the other way is quiet, (d) the hold
//                                     limit passes
//   R4 a reset stays a reset,         a leg that fails takes back nothing: what had come from it is
//      and takes nothing back         delivered to the other leg first, with the FIN if an end came
//                                     before the failure (its source is then gone: R3b), and only
//                                     then is that leg reset; closed in order, if both FINs are out
//                                     by then. Until then nothing goes into the leg that failed
//   R6 no guillotine, but a door      the limits and `cut` end a session, nothing else
//   R9 both flows finished            `finished`: both legs close, in order
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/side.h"
#include "core/fin_settings.h"

namespace finhold::core {

enum class FlowState : std::uint8_t {
  flowing,   // its end has not been read
  ended,     // its end was read; bytes still wait for the sink
  held,      // drained, and the FIN is kept back
  released,  // the FIN was sent on; its sink need not have everything yet
  // Its source has failed, and no end came before that:
  broken,          // bytes still wait for the sink
  broken_drained,  // none waits; the sink need not have everything yet
};

// Its end was read.
constexpr bool has_ended(FlowState state) {
  return state == FlowState::ended || state == FlowState::held || state == FlowState::released;
}

// Why a FIN was sent on.
enum class Release : std::uint8_t {
  none,         // it was not
  not_held,     // R2: the leg crosses nothing
  other_ended,  // R3(a)
  source_gone,  // R3(b)
  quiet,        // R3(c)
  hold_limit,   // R3(d)
};

// How many there are, for tables by reason.
constexpr std::size_t release_count = static_cast<std::size_t>(Release::hold_limit) + 1;

struct Event {
  enum class Kind : std::uint8_t {
    ended,        // end-of-file was read from the leg `side`
    broken,       // all that came from `side` before it failed was read, and there was no end
    drained,      // ended or broken, and all its bytes were accepted by the other leg
    gone,         // the other end of `side` has closed fully; nobody reads there any more
    reset,        // the leg `side` was reset or has vanished; what came before can still be read
    delivered,    // of a leg that failed: the other end has all that came from it, and the FIN
    undelivered,  // ... and does not take it within the time that there is for that
    quiet,        // nothing flowed towards `side` for release_when_quiet since its end
    hold_limit,   // hold_at_most passed since the end of `side`
    half_closed_idle,  // the session's limits (R6); `side` means nothing
    half_closed_total,
    closing,  // both ends have come, perhaps behind bytes that wait, and a reader takes nothing
    idle,     // nothing moves, either way
    cut,      // finhold itself gives the session up; `side` means nothing
  };
  Kind kind;
  base::Side side = base::Side::client;
};

// What to do now, in this order: FINs, nursing, resets. `hold` says that a flow became held: from
// now on its limits run (core/deadlines.h).
struct Actions {
  std::array<bool, 2> send_fin{};  // by base::index(Side): shut down writing on that leg
  std::array<bool, 2> hold{};      // by base::index(Flow)
  std::array<bool, 2> nurse{};     // by base::index(Side): frequent keepalives on that leg
  bool reset = false;              // abort both legs; the session is over
  bool finished = false;           // both FINs are out; close both legs in order; it is over

  friend bool operator==(const Actions&, const Actions&) = default;
};

class FinPolicy {
 public:
  // `settings` must outlive the policy.
  explicit FinPolicy(const FinSettings& settings) : settings_(&settings) {}

  // Whether an event can happen in this state at all.
  [[nodiscard]] bool possible(Event event) const;

  // Requires possible(event).
  Actions step(Event event);

  [[nodiscard]] FlowState flow(base::Flow flow) const { return flows_[base::index(flow)]; }
  [[nodiscard]] Release release(base::Flow flow) const { return releases_[base::index(flow)]; }
  [[nodiscard]] bool gone(base::Side side) const { return gone_[base::index(side)]; }
  [[nodiscard]] bool nursed(base::Side side) const { return nursed_[base::index(side)]; }
  // The flow from `side` has ended, and its FIN is held, or will be once it has drained; so it
  // makes a difference whether the other end of `side` is gone.
  [[nodiscard]] bool gone_matters(base::Side side) const;
  // The leg has failed. While the session is not over, the other one still gets what came from it.
  [[nodiscard]] bool failed(base::Side side) const { return failed_[base::index(side)]; }
  // A leg has failed, and the session is not over.
  [[nodiscard]] bool failing() const { return !over_ && (failed_[0] || failed_[1]); }
  // At least one flow has ended, and the session is not over.
  [[nodiscard]] bool half_closed() const;
  // Finished or reset: no event is possible any more.
  [[nodiscard]] bool over() const { return over_; }

  // Whether the limits of a held flow are running.
  [[nodiscard]] bool waits_for_quiet(base::Flow flow) const;
  [[nodiscard]] bool waits_for_hold_limit(base::Flow flow) const;

  [[nodiscard]] const FinSettings& settings() const { return *settings_; }

  friend bool operator==(const FinPolicy&, const FinPolicy&) = default;

 private:
  FlowState& state(base::Flow flow) { return flows_[base::index(flow)]; }
  void release(base::Flow flow, Release reason, Actions& actions);
  void release_what_may(Actions& actions);
  void nurse_half_closed(Actions& actions);
  [[nodiscard]] bool has_ended(base::Flow flow) const { return core::has_ended(this->flow(flow)); }
  [[nodiscard]] bool is_held(base::Flow flow) const;

  const FinSettings* settings_;
  std::array<FlowState, 2> flows_{};
  std::array<Release, 2> releases_{};
  std::array<bool, 2> gone_{};
  std::array<bool, 2> nursed_{};
  std::array<bool, 2> failed_{};
  bool over_ = false;
};

const char* name(FlowState state);
// As in the ending line: "quiet", or for other_ended who: "server-ended".
const char* name(Release release, base::Flow flow);

}  // namespace finhold::core
