// The oracle: what a direct connection shows, and what the rules say of the differences.
#include <algorithm>
#include <string>
#include <vector>

#include "base/side.h"
#include "core/fin_settings.h"
#include "simulation/runs.h"

namespace finhold::simulation {
namespace {

using Last = Seen::Last;

constexpr std::size_t client = 0;
constexpr std::size_t server = 1;

// Two ends may be held for release_when_quiet (5 s), and a worker be late now and then.
constexpr Time longest_delay = 30 * s;

const char* name_of(std::size_t each) { return each == client ? "the client" : "the server"; }

bool has(const Script& script, Step::Kind kind) {
  return std::any_of(script.begin(), script.end(),
                     [&](const Step& step) { return step.kind == kind; });
}

// True of every run, on whatever network.
std::string mistake_anywhere(const std::array<Seen, 2>& seen) {
  for (const std::size_t each : {client, server}) {
    const Seen& one = seen[each];
    const Seen& other = seen[1 - each];
    if (one.wrong_bytes) return std::string(name_of(each)) + " received other bytes than were sent";
    if (one.received > other.sent)
      return std::string(name_of(each)) + " received more than was sent";
    if (one.last != Last::end) continue;
    if (!other.did_end) return std::string(name_of(each)) + " saw an end that nobody made (R4)";
    if (one.received != other.sent) {
      return std::string(name_of(each)) + " saw an end before the last byte (R1, R4)";
    }
  }
  return {};
}

// Microseconds for which a program lets what came wait, all together.
Time pause_of(const Script& script) {
  Time paused = 0;
  bool reads = true;
  for (const Step& step : script) {
    if (step.kind == Step::Kind::pause) reads = false;
    if (step.kind == Step::Kind::resume || step.kind == Step::Kind::await_bytes ||
        step.kind == Step::Kind::await_end) {
      reads = true;
    }
    if (!reads && step.kind == Step::Kind::sleep) paused += step.amount;
  }
  return paused;
}

// A limit that the user has set, or a reader that pauses for longer than it is waited for where one
// has failed, or both have ended, ends sessions that would go on directly.
bool limits_may_end_it(const Scenario& scenario, const Result& through) {
  const core::FinSettings& fin = scenario.route.fin;
  const auto waited_for = static_cast<Time>(fin.vanished_after.count()) * ms;
  const bool pauses =
      pause_of(scenario.client) >= waited_for || pause_of(scenario.server) >= waited_for;
  return fin.half_closed_idle || fin.half_closed_total || fin.idle || fin.hold_at_most ||
         (pauses && through.ending != "finished");
}

// With "never", a program that waits for the end of the other one before it goes on waits for ever.
bool may_wait_for_a_held_end(const Scenario& scenario) {
  const core::FinSettings& fin = scenario.route.fin;
  for (const base::Side side : {base::Side::client, base::Side::server}) {
    if (core::crosses(fin.crosses, side) &&
        !fin.release_when_quiet[base::index(base::flow_into(side))]) {
      return true;
    }
  }
  return false;
}

// A box that forgets a connection at its first FIN, or for good some time after it, cannot be
// outwitted where one FIN has to cross it alone: the program's own on that path, or one that is
// released.
bool a_box_may_win(const Scenario& scenario) {
  const core::FinSettings& fin = scenario.route.fin;
  for (const base::Side side : {base::Side::client, base::Side::server}) {
    const bool is_client = side == base::Side::client;
    const Middlebox& box = (is_client ? scenario.client_path : scenario.server_path).box;
    const Script& script = is_client ? scenario.client : scenario.server;
    const bool forgives = box.timer == Middlebox::Timer::none ||
                          (box.timer == Middlebox::Timer::idle && box.after_fin > 5 * s);
    // The kernel asks for room in a window at ever longer intervals, and sends no keepalives
    // meanwhile.
    if (box.timer != Middlebox::Timer::none && pause_of(script) * 2 > box.after_fin) return true;
    if (forgives) continue;
    if (has(script, Step::Kind::end) || has(script, Step::Kind::close)) return true;
    if (fin.release_when_quiet[base::index(base::flow_into(side))] || fin.hold_at_most) return true;
  }
  return false;
}

// Who closes while bytes are on their way to it resets the connection when they come, and who
// aborts does so at once: what of its own has left its machine by then is chance.
bool was_overtaken(const Seen& one, const Seen& other) {
  return other.did_abort || (other.last == Last::nothing && one.sent > other.received);
}

}  // namespace

namespace {

// What finhold's own machine had of a program, against what the other one saw: no chance in that.
std::string mistake_in_delivery(const Scenario& scenario, const Result& through) {
  if (limits_may_end_it(scenario, through) || a_box_may_win(scenario)) return {};
  for (const std::size_t each : {client, server}) {
    const Seen& seen = through.seen[each];
    const std::string who = name_of(each);
    const std::uint64_t taken = through.taken[1 - each];
    if (each == server && !seen.connected && taken > 0) {
      return "the server was never reached, though there are bytes for it (R4)";
    }
    const bool read_all = seen.last == Last::failed || seen.last == Last::end;
    if (!read_all) continue;
    if (seen.received < taken) {
      return who + " did not get what finhold's machine had acknowledged (R4)";
    }
    // An end alone that waits for room in a window which the bytes before it have filled is left to
    // the kernel, and that gives an orphan up.
    constexpr Time patience_of_kernels = 200 * s;
    const Time pause = pause_of(each == client ? scenario.client : scenario.server);
    if (seen.last == Last::failed && through.ended[1 - each] && taken > 0 &&
        pause < patience_of_kernels) {
      return who + " saw a failure where finhold's machine had the end (R4)";
    }
  }
  return {};
}

// R3(b): that a program of finhold's own machine has closed is known at once, also where its FIN is
// held for as long as it takes.
std::string mistake_of_a_local_close(const Scenario& scenario, const Result& through) {
  if (limits_may_end_it(scenario, through) || a_box_may_win(scenario)) return {};
  for (const std::size_t each : {client, server}) {
    const bool is_local = each == client ? scenario.client_is_local : scenario.server_is_local;
    const Seen& source = through.seen[each];
    const Seen& sink = through.seen[1 - each];
    const bool reads = !has(each == client ? scenario.server : scenario.client, Step::Kind::pause);
    if (!is_local || !reads || source.did_abort || source.last != Last::nothing) continue;
    if (sink.last == Last::end && sink.last_at > source.last_at + longest_delay) {
      return std::string(name_of(1 - each)) + " sees much later that " + name_of(each) +
             " has closed (R3b)";
    }
  }
  return {};
}

// R7: a side that nothing comes from any more is found, and what came from it delivered.
std::string mistake_of_a_dead_path(const Scenario& scenario, const Result& through) {
  if (limits_may_end_it(scenario, through)) return {};
  for (const PathOptions& path : {scenario.client_path, scenario.server_path}) {
    if (path.outage.end < for_ever || through.over_at == 0) continue;
    // Vanished; its bytes are delivered; and a reader has the time of `closing`. The kernel asks
    // for room in a full window every 120 s at last, and finhold looks for two of those.
    const auto waited_for = static_cast<Time>(scenario.route.fin.vanished_after.count()) * ms;
    if (through.over_at > path.outage.begin + 3 * waited_for + 240 * s + longest_delay) {
      return "the session has outlived a dead path by minutes (R7)";
    }
  }
  return {};
}

// A program that waits for an end sees it, as it does directly whoever is first there, and about as
// soon. (That an end is a real one was looked at: it may be one where the direct connection fails,
// since a kernel gives up an orphan whose reader pauses.)
std::string mistake_beside_direct(const Scenario& scenario, const Result& through,
                                  const std::vector<Result>& direct, std::size_t each) {
  const Seen& seen = through.seen[each];
  const Seen& other = through.seen[1 - each];
  const std::string who = name_of(each);
  const auto always = [&](auto is_so) {
    return std::all_of(direct.begin(), direct.end(),
                       [&](const Result& result) { return is_so(result.seen[each]); });
  };
  const bool is_overtaken = was_overtaken(seen, other) ||
                            std::any_of(direct.begin(), direct.end(), [&](const Result& result) {
                              return was_overtaken(result.seen[each], result.seen[1 - each]);
                            });
  const bool always_ends = always([](const Seen& one) { return one.last == Last::end; });
  const bool always_fails = always([](const Seen& one) { return one.last == Last::failed; });
  if (limits_may_end_it(scenario, through) || a_box_may_win(scenario)) return {};
  // Who is held back waits for the other one to end; not for one that is gone.
  const bool may_be_held = may_wait_for_a_held_end(scenario) && other.last == Last::stalled;
  const bool always_goes_on = always([](const Seen& one) { return one.last != Last::stalled; });
  // Where both pause, each may wait for the other one's room: how far they get depends on the
  // buffers between. And the call that failed may have been what bounds the keepalives.
  const bool both_pause =
      has(scenario.client, Step::Kind::pause) && has(scenario.server, Step::Kind::pause);
  const bool has_box = scenario.client_path.box.timer != Middlebox::Timer::none ||
                       scenario.server_path.box.timer != Middlebox::Timer::none;
  const bool may_stall = may_be_held || both_pause || (scenario.fault.at != 0 && has_box);
  if (seen.last == Last::stalled && always_goes_on && !may_stall) {
    return who + " waits for ever, which it never does directly";
  }
  if (scenario.fault.at != 0) return {};  // any session may be reset for that, but none hangs
  if (both_pause || may_wait_for_a_held_end(scenario) || is_overtaken) return {};
  if (seen.last != Last::end && seen.last != Last::nothing && always_ends) {
    return who + " does not see the end that it always sees directly";
  }
  // Each end may be held until the other way is quiet, and nothing else takes long. (Whether a
  // program that pauses read an end before it did is chance.)
  if (has(scenario.client, Step::Kind::pause) || has(scenario.server, Step::Kind::pause)) return {};
  if (!always_ends && !always_fails) return {};
  if (scenario.lag >= s) return {};  // for each of many steps
  Time latest = 0;
  for (const Result& result : direct) {
    for (const Seen& one : result.seen) latest = std::max(latest, one.last_at);
  }
  if (seen.last_at > latest + longest_delay && seen.last != Last::nothing) {
    return who + " sees it much later than directly";
  }
  return {};
}

}  // namespace

std::string mistake_of(const Scenario& scenario, const Result& through) {
  if (!through.broken.empty()) return through.broken;
  if (auto mistake = mistake_anywhere(through.seen); !mistake.empty()) return mistake;
  if (auto mistake = mistake_of_a_dead_path(scenario, through); !mistake.empty()) return mistake;
  if (!scenario.network_is_well()) return {};
  if (scenario.fault.at == 0) {
    if (auto mistake = mistake_in_delivery(scenario, through); !mistake.empty()) return mistake;
    if (auto mistake = mistake_of_a_local_close(scenario, through); !mistake.empty())
      return mistake;
  }
  std::vector<Result> direct;
  for (const std::uint64_t faster : {std::uint64_t{1}, std::uint64_t{20}}) {
    for (const Time late : {Time{0}, 300 * ms}) {
      direct.push_back(run_directly(scenario, faster, late, false));
    }
  }
  for (const std::size_t each : {client, server}) {
    if (auto mistake = mistake_beside_direct(scenario, through, direct, each); !mistake.empty()) {
      return mistake;
    }
  }
  return {};
}

}  // namespace finhold::simulation
