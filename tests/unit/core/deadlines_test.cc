#include "core/deadlines.h"

#include <doctest/doctest.h>

namespace finhold::tests {

using base::Flow;
using base::Side;
using core::Event;
using core::FinPolicy;
using core::Stamps;

namespace {

constexpr core::Instant start = 1'000'000;

struct Held {
  core::FinSettings settings;
  FinPolicy policy{settings};
  Stamps stamps;

  // The client has ended at `start`, and its flow has drained.
  explicit Held(const core::FinSettings& chosen) : settings(chosen) {
    stamps.flow_moved(Flow::to_server, start);
    stamps.flow_ended(Flow::to_server, start);
    policy.step({Event::Kind::ended, Side::client});
    policy.step({Event::Kind::drained, Side::client});
  }
};

core::FinSettings with(base::Limit quiet, base::Limit hold) {
  core::FinSettings settings;
  settings.release_when_quiet = {quiet, quiet};
  settings.hold_at_most = hold;
  return settings;
}

}  // namespace

TEST_CASE("a session in which nothing has ended waits for no clock") {
  core::FinSettings settings;
  settings.half_closed_idle = settings.half_closed_total = std::chrono::seconds(1);
  CHECK(!core::next_deadline(FinPolicy(settings), Stamps{}, start));
}

TEST_CASE("quiet counts from the end, or from the last byte that came the other way") {
  Held held(with(std::chrono::seconds(5), {}));
  auto deadline = core::next_deadline(held.policy, held.stamps, start);
  REQUIRE(deadline);
  CHECK(deadline->at == start + 5000);
  CHECK(deadline->event.kind == Event::Kind::quiet);
  CHECK(deadline->event.side == Side::client);

  held.stamps.flow_moved(Flow::to_client, start + 3000);
  CHECK(core::next_deadline(held.policy, held.stamps, start + 3000)->at == start + 8000);

  // Bytes of the flow that has ended, to a slow server, say nothing about the other way.
  held.stamps.flow_moved(Flow::to_server, start + 4000);
  CHECK(core::next_deadline(held.policy, held.stamps, start + 4000)->at == start + 8000);
}

TEST_CASE("each flow has a quiet time of its own") {
  core::FinSettings settings;
  settings.crosses = core::Crosses::both;
  settings.release_when_quiet = {std::chrono::seconds(5), std::chrono::seconds(2)};
  const Stamps stamps{.ended = {start, start}};
  for (const Side side : {Side::client, Side::server}) {
    FinPolicy policy(settings);
    policy.step({Event::Kind::ended, side});
    policy.step({Event::Kind::drained, side});
    const auto deadline = core::next_deadline(policy, stamps, start);
    REQUIRE(deadline);
    CHECK(deadline->at == start + (side == Side::client ? 5000 : 2000));
    CHECK(deadline->event.side == side);
  }
}

TEST_CASE("a flow that its reader blocks is not quiet") {
  Held held(with(std::chrono::seconds(5), {}));
  held.stamps.blocked[base::index(Flow::to_client)] = true;
  CHECK(core::next_deadline(held.policy, held.stamps, start + 60'000)->at == start + 65'000);
}

TEST_CASE("quiet does not count while bytes before the end are still on their way") {
  Held held(with(std::chrono::seconds(5), {}));
  held.stamps.in_flight[base::index(Flow::to_server)] = start + 4000;
  CHECK(core::next_deadline(held.policy, held.stamps, start + 5000)->at == start + 9000);
}

TEST_CASE("the hold limit counts from the end, whatever moves") {
  Held held(with({}, std::chrono::seconds(60)));
  held.stamps.flow_moved(Flow::to_client, start + 59'000);
  const auto deadline = core::next_deadline(held.policy, held.stamps, start + 59'000);
  REQUIRE(deadline);
  CHECK(deadline->at == start + 60'000);
  CHECK(deadline->event.kind == Event::Kind::hold_limit);
}

TEST_CASE("never means no deadline") {
  const Held held(with({}, {}));
  CHECK(!core::next_deadline(held.policy, held.stamps, start));
}

TEST_CASE("the earliest of several deadlines is told") {
  core::FinSettings settings = with(std::chrono::seconds(5), std::chrono::seconds(60));
  settings.half_closed_idle = std::chrono::seconds(4);
  settings.half_closed_total = std::chrono::seconds(3);
  Held held(settings);
  CHECK(core::next_deadline(held.policy, held.stamps, start)->event.kind ==
        Event::Kind::half_closed_total);
}

TEST_CASE("half_closed_idle counts from the last byte of either flow, half_closed_total does not") {
  core::FinSettings settings = with({}, {});
  settings.half_closed_idle = std::chrono::seconds(10);
  Held idle(settings);
  idle.stamps.flow_moved(Flow::to_client, start + 7000);
  CHECK(core::next_deadline(idle.policy, idle.stamps, start + 7000)->at == start + 17'000);

  settings.half_closed_idle.reset();
  settings.half_closed_total = std::chrono::seconds(10);
  Held total(settings);
  total.stamps.flow_moved(Flow::to_client, start + 7000);
  CHECK(core::next_deadline(total.policy, total.stamps, start + 7000)->at == start + 10'000);
}

TEST_CASE("the half-closed limits count from the first of two ends") {
  core::FinSettings settings = with({}, {});
  settings.half_closed_total = std::chrono::seconds(10);
  Held held(settings);
  held.stamps.flow_ended(Flow::to_client, start + 6000);
  held.policy.step({Event::Kind::ended, Side::server});  // its bytes still wait for the client
  CHECK(core::next_deadline(held.policy, held.stamps, start + 6000)->at == start + 10'000);
}

TEST_CASE("idle counts from the last byte, from the first moment") {
  core::FinSettings settings;
  settings.idle = std::chrono::seconds(10);
  const FinPolicy policy(settings);
  Stamps stamps;
  stamps.phase = start;
  CHECK(core::next_deadline(policy, stamps, start)->at == start + 10'000);
  CHECK(core::next_deadline(policy, stamps, start)->event.kind == Event::Kind::idle);
  stamps.flow_moved(Flow::to_client, start + 3000);
  CHECK(core::next_deadline(policy, stamps, start + 3000)->at == start + 13'000);
}

TEST_CASE("where half_closed_idle is set, idle is for sessions that are not half-closed") {
  core::FinSettings settings = with({}, {});
  settings.idle = std::chrono::seconds(10);
  Held held(settings);
  CHECK(core::next_deadline(held.policy, held.stamps, start)->event.kind == Event::Kind::idle);
  held.settings.half_closed_idle = std::chrono::seconds(20);
  const auto deadline = core::next_deadline(held.policy, held.stamps, start);
  CHECK(deadline->event.kind == Event::Kind::half_closed_idle);
  CHECK(deadline->at == start + 20'000);
}

TEST_CASE("closing counts from the last byte after both ends") {
  core::FinSettings settings = with({}, {});
  settings.closing = std::chrono::seconds(10);
  Held held(settings);
  CHECK(!core::next_deadline(held.policy, held.stamps, start));
  held.stamps.both_ends = start + 6000;  // perhaps behind bytes that nobody has read
  CHECK(core::next_deadline(held.policy, held.stamps, start + 6000)->at == start + 16'000);
  CHECK(core::next_deadline(held.policy, held.stamps, start)->event.kind == Event::Kind::closing);
  held.stamps.flow_moved(Flow::to_client, start + 7000);
  CHECK(core::next_deadline(held.policy, held.stamps, start + 7000)->at == start + 17'000);

  // The same when both FINs are out, and the policy is over.
  CHECK(core::closing_deadline(settings, held.stamps)->at == start + 17'000);
  settings.half_closed_total = std::chrono::seconds(12);
  CHECK(core::closing_deadline(settings, held.stamps)->at == start + 12'000);
  CHECK(core::closing_deadline(settings, held.stamps)->event.kind ==
        Event::Kind::half_closed_total);
}

TEST_CASE("R4: what a leg that failed has sent may take as long as its reader takes some of it") {
  core::FinSettings settings = with({}, {});
  settings.vanished_after = std::chrono::seconds(90);
  FinPolicy policy(settings);
  Stamps stamps;
  stamps.phase = start;
  policy.step({Event::Kind::reset, Side::server});
  auto deadline = core::next_deadline(policy, stamps, start);
  REQUIRE(deadline);
  CHECK(deadline->at == start + 90'000);
  CHECK(deadline->event.kind == Event::Kind::undelivered);
  CHECK(deadline->event.side == Side::server);
  stamps.flow_moved(Flow::to_client, start + 50'000);
  CHECK(core::next_deadline(policy, stamps, start)->at == start + 140'000);
  // What moves the other way goes nowhere.
  stamps.flow_moved(Flow::to_server, start + 60'000);
  CHECK(core::next_deadline(policy, stamps, start)->at == start + 140'000);
  settings.hold_at_most = std::chrono::seconds(70);
  CHECK(core::next_deadline(policy, stamps, start)->at == start + 70'000);
}

}  // namespace finhold::tests
