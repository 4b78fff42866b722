// The closing rules, walked exhaustively: every reachable state, every possible event, every
// setting.
#include "core/fin_policy.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include <doctest/doctest.h>

#include "unit/core/fin_policy_walk.h"

namespace finhold::tests {

using base::Flow;
using base::Side;
using core::Crosses;
using core::Event;
using core::FinPolicy;
using core::FlowState;

namespace {

constexpr std::array both_flows{Flow::to_server, Flow::to_client};
constexpr std::array both_sides{Side::client, Side::server};

// Calls check(settings, state before, transition, state after) for all there is.
template <typename Check>
void for_every_transition(Check check) {
  std::size_t seen = 0;
  for (const auto& settings : every_setting()) {
    const Walk all = walk(settings);
    for (const Transition& transition : all.transitions) {
      ++seen;
      CAPTURE(static_cast<int>(settings.crosses));
      CAPTURE(text(all.states[transition.from]));
      CAPTURE(text(transition.event));
      CAPTURE(text(transition.actions));
      check(settings, all.states[transition.from], transition, all.states[transition.to]);
    }
  }
  CHECK(seen > 5000);  // the walk has not silently become empty
}

bool is(const Event& event, Event::Kind kind, Side side) {
  return event.kind == kind && event.side == side;
}

bool sends_fin(const Transition& transition, Flow flow) {
  return transition.actions.send_fin[base::index(base::sink_of(flow))];
}

bool has_ended(const FinPolicy& state, Flow flow) {
  const FlowState now = state.flow(flow);
  return now == FlowState::ended || now == FlowState::held || now == FlowState::released;
}

}  // namespace

TEST_CASE("R1: a FIN goes out only after its flow has drained") {
  for_every_transition(
      [](const auto&, const FinPolicy& before, const Transition& step, const FinPolicy&) {
        for (const Flow flow : both_flows) {
          if (!sends_fin(step, flow)) continue;
          const bool drains_now = is(step.event, Event::Kind::drained, base::source_of(flow));
          const bool drained = before.flow(flow) == FlowState::held || drains_now;
          CHECK(drained);
        }
      });
}

TEST_CASE("a leg gets at most one FIN, and what the state says of it is what was sent") {
  for_every_transition(
      [](const auto&, const FinPolicy& before, const Transition& step, const FinPolicy& after) {
        for (const Flow flow : both_flows) {
          const bool was_out = before.flow(flow) == FlowState::released;
          const bool is_out = after.flow(flow) == FlowState::released;
          CHECK(sends_fin(step, flow) == (is_out && !was_out));
          CHECK((is_out || !was_out));
        }
      });
}

TEST_CASE("R2: a leg that crosses nothing gets its FIN in the step in which its flow drains") {
  for_every_transition([](const core::FinSettings& settings, const FinPolicy&,
                          const Transition& step, const FinPolicy& after) {
    for (const Flow flow : both_flows) {
      if (core::crosses(settings.crosses, base::sink_of(flow))) continue;
      CHECK(after.flow(flow) != FlowState::held);
      const bool drains = is(step.event, Event::Kind::drained, base::source_of(flow));
      if (drains && has_ended(after, flow)) CHECK(sends_fin(step, flow));
    }
  });
}

TEST_CASE(
    "R3: an early FIN crosses only because its source is gone, or by quiet, or by the limit") {
  for_every_transition([](const core::FinSettings& settings, const FinPolicy& before,
                          const Transition& step, const FinPolicy& after) {
    for (const Flow flow : both_flows) {
      const bool early = !has_ended(after, base::other(flow));
      const bool crossing = core::crosses(settings.crosses, base::sink_of(flow));
      if (!sends_fin(step, flow) || !early || !crossing) continue;
      // The reasons, told from the event and the settings alone.
      const Side source = base::source_of(flow);
      const bool gone = before.gone(source) || is(step.event, Event::Kind::gone, source) ||
                        is(step.event, Event::Kind::reset, source);
      const bool quiet =
          is(step.event, Event::Kind::quiet, source) ||
          settings.release_when_quiet[base::index(flow)] == base::Limit(base::Milliseconds(0));
      const bool limit = is(step.event, Event::Kind::hold_limit, source) ||
                         settings.hold_at_most == base::Limit(base::Milliseconds(0));
      CHECK((gone || quiet || limit));
      switch (after.release(flow)) {
        case core::Release::source_gone:
          CHECK(gone);
          break;
        case core::Release::quiet:
          CHECK(quiet);
          break;
        case core::Release::hold_limit:
          CHECK(limit);
          break;
        default:
          FAIL_CHECK("released for a reason that does not allow an early FIN");
      }
    }
  });
}

TEST_CASE("R3(a): when both flows have ended nothing is held any more") {
  for_every_transition(
      [](const auto&, const FinPolicy&, const Transition&, const FinPolicy& after) {
        if (!has_ended(after, Flow::to_server) || !has_ended(after, Flow::to_client)) return;
        if (after.over()) return;
        for (const Flow flow : both_flows) {
          if (!after.failed(base::sink_of(flow))) CHECK(after.flow(flow) != FlowState::held);
        }
      });
}

TEST_CASE("R3(b): whether a source is gone matters exactly where its FIN would be held otherwise") {
  std::size_t seen = 0;
  for_every_transition([&seen](const auto&, const FinPolicy& before, const Transition& step,
                               const FinPolicy& after) {
    if (step.event.kind != Event::Kind::gone) return;
    const Side side = step.event.side;
    const Flow flow = base::flow_from(side);
    FinPolicy known = after;
    FinPolicy unknown = before;
    if (before.flow(flow) == FlowState::ended) {
      known.step({Event::Kind::drained, side});
      unknown.step({Event::Kind::drained, side});
    }
    const bool differs =
        known.release(flow) == core::Release::source_gone && unknown.flow(flow) == FlowState::held;
    CHECK(before.gone_matters(side) == differs);
    CHECK_FALSE(after.gone_matters(side));
    seen += differs ? 1 : 0;
  });
  CHECK(seen > 0);
}

TEST_CASE(
    "R4: a reset takes nothing back: what had come is delivered before the other leg is reset") {
  std::size_t seen = 0;
  for_every_transition([&seen](const auto&, const FinPolicy& before, const Transition& step,
                               const FinPolicy& after) {
    if (step.event.kind != Event::Kind::reset) return;
    ++seen;
    const bool second = before.failing();
    CHECK(step.actions.reset == second);
    CHECK(after.over() == second);
    CHECK(!step.actions.finished);
    CHECK(after.failed(step.event.side));
    // An end that came before is one: its FIN, if it was held, is held no longer.
    const Flow flow = base::flow_from(step.event.side);
    CHECK((after.over() || after.flow(flow) != FlowState::held));
    CHECK(sends_fin(step, flow) == (!second && before.flow(flow) == FlowState::held));
  });
  CHECK(seen > 0);
}

TEST_CASE("R4: what broke off never becomes an end, and nothing goes into a leg that has failed") {
  for_every_transition(
      [](const auto&, const FinPolicy& before, const Transition& step, const FinPolicy& after) {
        for (const Flow flow : both_flows) {
          const bool broke = before.flow(flow) == FlowState::broken ||
                             before.flow(flow) == FlowState::broken_drained;
          if (broke) CHECK(!sends_fin(step, flow));
          if (broke) CHECK(!step.actions.finished);
          if (before.failed(base::sink_of(flow))) CHECK(!sends_fin(step, flow));
          if (before.failed(base::sink_of(flow))) CHECK(after.flow(flow) == before.flow(flow));
        }
        for (const Side side : both_sides) {
          if (after.failed(side)) CHECK(!step.actions.nurse[base::index(side)]);
        }
      });
}

TEST_CASE(
    "R4: while a leg has failed, the other is reset when it has everything, or takes nothing") {
  for_every_transition([](const auto&, const FinPolicy& before, const Transition& step,
                          const FinPolicy& after) {
    if (!before.failing() || !after.over()) return;
    const Flow flow = base::flow_from(before.failed(Side::client) ? Side::client : Side::server);
    switch (step.event.kind) {
      case Event::Kind::delivered:
        // All that came was accepted: by a FIN, if it had ended in order, or it broke off.
        CHECK((before.flow(flow) == FlowState::released ||
               before.flow(flow) == FlowState::broken_drained));
        // Reset only what was open, or did not get its end through.
        CHECK(step.actions.finished == (before.flow(flow) == FlowState::released &&
                                        before.flow(base::other(flow)) == FlowState::released));
        break;
      case Event::Kind::reset:
        CHECK(step.event.side == base::sink_of(flow));
        CHECK(step.actions.reset);
        break;
      case Event::Kind::undelivered:
      case Event::Kind::half_closed_idle:
      case Event::Kind::half_closed_total:
      case Event::Kind::cut:
        CHECK(step.actions.reset);
        break;
      default:
        FAIL_CHECK("over by an event that says nothing of the leg that is left");
    }
  });
}

TEST_CASE("R4: every state with a failed leg comes to deliver what it has") {
  for (const auto& settings : every_setting()) {
    const Walk all = walk(settings);
    std::vector<bool> delivers(all.states.size(), false);
    for (bool changed = true; changed;) {
      changed = false;
      for (const Transition& step : all.transitions) {
        const bool leads_there = step.event.kind == Event::Kind::delivered || delivers[step.to];
        if (!leads_there || delivers[step.from]) continue;
        delivers[step.from] = changed = true;
      }
    }
    for (std::size_t i = 0; i < all.states.size(); ++i) {
      CAPTURE(text(all.states[i]));
      if (all.states[i].failing()) CHECK(delivers[i]);
    }
  }
}

TEST_CASE("a cut resets both legs at once") {
  for_every_transition(
      [](const auto&, const FinPolicy&, const Transition& step, const FinPolicy& after) {
        if (step.event.kind != Event::Kind::cut) return;
        CHECK(step.actions.reset);
        CHECK(!step.actions.finished);
        CHECK(after.over());
        for (const Flow flow : both_flows) CHECK(!sends_fin(step, flow));
      });
}

TEST_CASE("a session is over by `finished` or by `reset`, and then nothing is possible") {
  for (const auto& settings : every_setting()) {
    const Walk all = walk(settings);
    for (const Transition& step : all.transitions) {
      CHECK(all.states[step.to].over() == (step.actions.reset || step.actions.finished));
      CHECK(!(step.actions.reset && step.actions.finished));
      CHECK(!all.states[step.from].over());
    }
  }
}

TEST_CASE("R9: finished means both FINs are out, and both FINs out means finished") {
  for_every_transition(
      [](const auto&, const FinPolicy&, const Transition& step, const FinPolicy& after) {
        const bool both_out = after.flow(Flow::to_server) == FlowState::released &&
                              after.flow(Flow::to_client) == FlowState::released;
        // One that is failing still waits for the other leg to have everything.
        if (!step.actions.reset) CHECK(step.actions.finished == (both_out && !after.failing()));
      });
}

TEST_CASE("from every state without a failed leg the session can finish, without a reset") {
  for (const auto& settings : every_setting()) {
    const Walk all = walk(settings);
    std::vector<bool> can_finish(all.states.size(), false);
    for (bool changed = true; changed;) {
      changed = false;
      for (const Transition& step : all.transitions) {
        const bool leads_there = step.actions.finished || can_finish[step.to];
        if (step.actions.reset || !leads_there || can_finish[step.from]) continue;
        can_finish[step.from] = changed = true;
      }
    }
    for (std::size_t i = 0; i < all.states.size(); ++i) {
      CAPTURE(text(all.states[i]));
      CHECK((can_finish[i] || all.states[i].over() || all.states[i].failing()));
    }
  }
}

TEST_CASE("no state holds without a deadline or a live flow to wait for") {
  for_every_transition(
      [](const auto&, const FinPolicy&, const Transition&, const FinPolicy& after) {
        if (after.over()) return;
        for (const Flow flow : both_flows) {
          if (after.flow(flow) != FlowState::held || after.failed(base::sink_of(flow))) continue;
          const bool deadline = after.waits_for_quiet(flow) || after.waits_for_hold_limit(flow);
          const bool live = !has_ended(after, base::other(flow));
          CHECK((deadline || live));
        }
      });
}

TEST_CASE("`hold` is told exactly once, when a flow becomes held") {
  for_every_transition(
      [](const auto&, const FinPolicy& before, const Transition& step, const FinPolicy& after) {
        for (const Flow flow : both_flows) {
          const bool became =
              before.flow(flow) != FlowState::held && after.flow(flow) == FlowState::held;
          CHECK(step.actions.hold[base::index(flow)] == became);
        }
      });
}

TEST_CASE("a crossing leg with one FIN on its wire is nursed, once, and no other leg is") {
  for_every_transition([](const core::FinSettings& settings, const FinPolicy& before,
                          const Transition& step, const FinPolicy& after) {
    for (const Side side : both_sides) {
      const bool sent = after.flow(base::flow_into(side)) == FlowState::released;
      const bool half = sent != has_ended(after, base::flow_from(side));
      const bool wanted = core::crosses(settings.crosses, side) && half && !before.nursed(side) &&
                          !after.over() && !after.failed(side);
      CHECK(step.actions.nurse[base::index(side)] == wanted);
    }
  });
}

TEST_CASE("R6: an open session is never ended by the clock") {
  for (const auto& settings : every_setting()) {
    const FinPolicy fresh(settings);
    CHECK(!fresh.half_closed());
    for (const auto kind : {Event::Kind::quiet, Event::Kind::hold_limit,
                            Event::Kind::half_closed_idle, Event::Kind::half_closed_total}) {
      for (const Side side : both_sides) CHECK(!fresh.possible({kind, side}));
    }
  }
}

TEST_CASE("client and server are mirror images") {
  const auto mirrored = [](Event event) { return Event{event.kind, base::other(event.side)}; };
  core::FinSettings one;
  core::FinSettings two;
  one.release_when_quiet =
      two.release_when_quiet = {std::chrono::seconds(5), std::chrono::seconds(5)};
  one.crosses = Crosses::server;
  two.crosses = Crosses::client;
  const Walk walked = walk(one);
  CHECK(walked.states.size() == walk(two).states.size());
  // Every path of the one is a path of the other with the sides exchanged.
  struct Pair {
    FinPolicy state;
    FinPolicy mirror;
  };
  std::vector<Pair> pairs{{FinPolicy(one), FinPolicy(two)}};
  for (std::size_t i = 0; i < pairs.size() && i < 2000; ++i) {
    for (const Transition& step : walked.transitions) {
      if (!(walked.states[step.from] == pairs[i].state)) continue;
      Pair next{walked.states[step.to], pairs[i].mirror};
      REQUIRE(next.mirror.possible(mirrored(step.event)));
      const core::Actions actions = next.mirror.step(mirrored(step.event));
      CHECK(actions.reset == step.actions.reset);
      CHECK(actions.finished == step.actions.finished);
      for (const Side side : both_sides) {
        CHECK(actions.send_fin[base::index(base::other(side))] ==
              step.actions.send_fin[base::index(side)]);
      }
      if (!next.state.over() && pairs.size() < 2000) pairs.push_back(next);
    }
  }
}

// The golden copy lies beside the code, so that a change of the rules shows in its review. To
// accept one: FINHOLD_UPDATE_GOLDEN=1 ctest --preset dev -R fin_policy
TEST_CASE("the state table is the one that stands beside the code") {
  std::string printed =
      "The closing rules of fin_policy.h, state by state: event, next state, actions.\n"
      "An event that is not listed is impossible in that state. `crosses = client` is the mirror\n"
      "image of `server`. Written by tests/unit/core/fin_policy_test.cc.\n";
  for (const auto crosses : {Crosses::none, Crosses::server, Crosses::both}) {
    core::FinSettings settings;
    settings.crosses = crosses;
    settings.release_when_quiet = {std::chrono::seconds(5), std::chrono::seconds(5)};
    settings.hold_at_most = std::chrono::seconds(60);
    settings.half_closed_idle = std::chrono::seconds(60);
    const char* name = crosses == Crosses::none     ? "none"
                       : crosses == Crosses::server ? "server"
                                                    : "both";
    printed += std::string("\n=== crosses = ") + name +
               ", release_when_quiet, hold_at_most and half_closed_idle set ===\n" +
               table(settings);
  }
  const std::string path = FINHOLD_SOURCE_DIR "/src/core/fin_policy.states.txt";
  if (std::getenv("FINHOLD_UPDATE_GOLDEN") != nullptr) {  // NOLINT(concurrency-mt-unsafe)
    std::ofstream(path) << printed;
  }
  std::ifstream file(path);
  std::ostringstream golden;
  golden << file.rdbuf();
  // Compared as a bool: on a failure `git diff` after an update shows more than two long texts.
  const bool same = golden.str() == printed;
  CHECK_MESSAGE(same,
                "src/core/fin_policy.states.txt is not what the code does; see the comment above");
}

}  // namespace finhold::tests
