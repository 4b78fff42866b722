// A flow in each of its states, between two legs in memory. flow_mover_test.cc has real ones.
#include <string>

#include <doctest/doctest.h>

#include "net/loop.h"
#include "relay/flow_mover.h"
#include "unit/relay/memory_leg.h"

namespace finhold::tests {

namespace {

struct Flow {
  relay::FlowMover::Outcome move(std::size_t budget = std::size_t{1} << 20) {
    return mover.move(source, sink, scratch, budget);
  }

  explicit Flow(relay::Splicing splicing = relay::Splicing::automatic)
      : scratch(loop, std::size_t{256} << 10, splicing, 4) {}

  net::Loop loop;
  relay::Scratch scratch;
  MemoryLeg source;
  MemoryLeg sink;
  relay::FlowMover mover;
};

std::string pattern(std::size_t size) {
  std::string bytes(size, '\0');
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>('a' + i % 23);
  return bytes;
}

}  // namespace

TEST_CASE("a flow gives the sink all bytes, then tells the end once") {
  Flow flow;
  flow.source.send("all of it");
  flow.source.send_end();
  const auto outcome = flow.move();
  CHECK(flow.sink.got() == "all of it");
  CHECK(outcome.moved == 9);
  CHECK(outcome.ended);
  CHECK_FALSE(outcome.more);
  CHECK_FALSE(flow.move().ended);
  CHECK(flow.mover.total() == 9);
}

TEST_CASE("what a sink does not take is kept, and nothing is read until it is gone") {
  Flow flow;
  flow.sink.make_room(3);
  flow.source.send("12345");
  CHECK(flow.move().moved == 3);
  CHECK(flow.mover.waiting());

  flow.source.send("678");
  flow.source.send_end();
  CHECK(flow.move().moved == 0);
  CHECK(flow.source.unread() == "678");

  flow.sink.make_room(1);
  CHECK(flow.move().moved == 1);
  CHECK(flow.mover.waiting());
  CHECK(flow.source.unread() == "678");

  flow.sink.make_room(100);
  const auto last = flow.move();
  CHECK(last.moved == 4);
  CHECK(last.ended);
  CHECK_FALSE(flow.mover.waiting());
  CHECK(flow.sink.got() == "12345678");
}

TEST_CASE("where nothing can be spliced, a read takes at once what a flow may keep") {
  Flow flow;
  flow.sink.make_room(1);
  flow.source.send(pattern(std::size_t{200} << 10));
  CHECK(flow.move().moved == 1);
  CHECK(flow.source.unread().empty());
}

TEST_CASE("bytes that came before a failure are moved, and a failure is no end") {
  Flow flow;
  flow.source.send("last words");
  flow.source.fail(ECONNRESET);
  const auto outcome = flow.move();
  CHECK(flow.sink.got() == "last words");
  CHECK_FALSE(outcome.ended);
  CHECK_FALSE(outcome.more);
}

TEST_CASE("a sink that has failed is given nothing, and its source is not read") {
  Flow flow;
  flow.sink.fail(EPIPE);
  flow.source.send("for nobody");
  flow.source.send_end();
  const auto outcome = flow.move();
  CHECK(outcome.moved == 0);
  CHECK_FALSE(outcome.ended);
  CHECK(flow.source.unread() == "for nobody");
}

TEST_CASE("a flow stops at its budget, and goes on where it was") {
  for (const auto splicing :
       {relay::Splicing::automatic, relay::Splicing::never, relay::Splicing::always}) {
    Flow flow(splicing);
    const std::string bytes = pattern(300'000);
    flow.source.send(bytes);
    flow.source.send_end();
    const auto first = flow.move(relay::FlowMover::copy_size);
    CHECK(first.moved == relay::FlowMover::copy_size);
    CHECK(first.more);
    CHECK_FALSE(first.ended);
    relay::FlowMover::Outcome outcome;
    do {
      outcome = flow.move(relay::FlowMover::copy_size);
      CHECK(outcome.moved <= relay::FlowMover::copy_size);
    } while (outcome.more);
    CHECK(outcome.ended);
    CHECK(flow.sink.got() == bytes);
  }
}

TEST_CASE("an urgent byte goes by itself, at its place, and is still urgent if it had to wait") {
  for (const std::size_t room : {100U, 2U}) {
    Flow flow;
    flow.sink.make_room(room);
    flow.source.send("ab");
    flow.source.send_urgent('!');
    flow.source.send("cd");
    CHECK(flow.move().more == (room == 100));  // others have their turn after it
    flow.sink.make_room(100);
    flow.move();
    CHECK(flow.sink.got() == "ab^!cd");
  }
}

TEST_CASE("what waits is dropped when the session is over") {
  Flow flow;
  flow.sink.make_room(0);
  flow.source.send("1");
  flow.move();
  CHECK(flow.mover.waiting());
  flow.mover.release(flow.scratch);
  CHECK_FALSE(flow.mover.waiting());
}

}  // namespace finhold::tests
