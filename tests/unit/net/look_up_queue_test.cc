// Who is looked up next. tests/integration/operation/test_look_ups.py has the threads.
#include "net/look_up_queue.h"

#include <cerrno>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

namespace finhold::tests {
namespace {

using net::KnownNames;
using net::LookUp;
using net::LookUpQueue;

struct Asker final : LookUp::Asker {
  void on_looked_up(std::unique_ptr<LookUp> /*done*/) override {}
};

struct Names {
  int ask(const std::string& owner, const std::string& name, std::uint16_t port = 1) {
    auto look_up = std::make_unique<LookUp>();
    look_up->host = {name, port};
    look_up->owner = owner;
    look_up->asker = &asker;
    return queue.add(std::move(look_up));
  }
  void withdraw(const std::string& owner, const std::string& name) {
    queue.withdraw(asker, {name, 1}, owner);
  }
  // Those that start now; they stay under way.
  std::vector<std::string> start() {
    std::vector<std::string> names;
    while (LookUp* const next = queue.start()) {
      under_way.push_back(next);
      names.push_back(next->host.host);
    }
    return names;
  }
  LookUpQueue::LookUps finish(const std::string& name, bool at_once = false) {
    for (LookUp* each : under_way) {
      if (each->host.host != name) continue;
      std::erase(under_way, each);
      if (at_once) each->addresses.push_back(base::Address::parse("192.0.2.7:1").value());
      return queue.finish(*each, at_once);
    }
    FAIL(name, " is not under way");
    return {};
  }
  // From now on it is known.
  void know(const std::string& name) {
    REQUIRE(ask("teacher", name) == 0);
    start();
    CHECK(finish(name, true).size() == 1);
  }

  Asker asker;
  LookUpQueue queue{64};
  std::vector<LookUp*> under_way;
};

std::vector<std::string> silent(Names& names, const std::string& owner, int count) {
  std::vector<std::string> made;
  for (int i = 0; i < count; ++i) {
    made.push_back(owner + std::to_string(i));
    REQUIRE(names.ask(owner, made.back()) == 0);
  }
  return made;
}

}  // namespace

TEST_CASE("look-ups: one near end has a sixteenth of the threads for new names, all have a half") {
  Names names;
  for (const char* owner : {"a", "b", "c", "d", "e", "f", "g", "h"}) {
    const std::string first(owner);
    silent(names, first, 100);
    CHECK(names.start() ==
          std::vector<std::string>{first + "0", first + "1", first + "2", first + "3"});
  }
  silent(names, "i", 100);
  CHECK(names.start().empty());
  // By turns: the next one is of whose last one began first, and whoever is new comes last.
  for (const auto& [over, next] : {std::pair{"a0", "a4"}, {"b0", "b4"}, {"a1", "i0"}}) {
    names.finish(over);
    CHECK(names.start() == std::vector<std::string>{next});
  }
}

TEST_CASE("look-ups: names of the configuration have threads beside those of near ends") {
  Names names;
  for (int i = 0; i < 20; ++i) silent(names, "owner" + std::to_string(i) + ".", 9);
  CHECK(names.start().size() == 32);
  for (int i = 0; i < 16; ++i) CHECK(names.ask("", "route" + std::to_string(i)) == 0);
  CHECK(names.start().size() == 16);
}

TEST_CASE("look-ups: known names that fall silent leave threads to the configuration") {
  Names names;
  for (int i = 0; i < 100; ++i) names.know("known" + std::to_string(i));
  names.know("of.a.route");
  for (int i = 0; i < 100; ++i) {
    REQUIRE(names.ask("owner" + std::to_string(i / 10), "known" + std::to_string(i)) == 0);
  }
  CHECK(names.start().size() == 48);  // eight of each of six
  CHECK(names.ask("another", "known99") == 0);
  CHECK(names.start().empty());
  for (const char* name : {"of.a.route", "of.another"}) CHECK(names.ask("", name) == 0);
  CHECK(names.start() == std::vector<std::string>{"of.a.route", "of.another"});
}

TEST_CASE("look-ups: known names never wait for new ones") {
  Names names;
  for (int i = 0; i < 12; ++i) names.know("known" + std::to_string(i));
  for (int i = 0; i < 8; ++i) silent(names, "owner" + std::to_string(i) + ".", 20);
  for (int i = 0; i < 20; ++i) REQUIRE(names.ask("", "route" + std::to_string(i)) == 0);
  CHECK(names.start().size() == 48);  // new ones of near ends, and of the configuration
  CHECK(names.ask("owner0.", "known0") == 0);
  CHECK(names.start() == std::vector<std::string>{"known0"});
  CHECK(names.ask("", "known1") == 0);
  CHECK(names.start() == std::vector<std::string>{"known1"});
  SUBCASE("one that was not answered at once is a new one again") {
    names.finish("known0");
    CHECK(names.ask("owner0.", "known0") == 0);
    CHECK(names.start().empty());
  }
  SUBCASE("one near end has an eighth of the threads for both") {
    for (int i = 2; i < 8; ++i) CHECK(names.ask("owner0.", "known" + std::to_string(i)) == 0);
    CHECK(names.start() == std::vector<std::string>{"known2", "known3", "known4"});
    names.finish("known0", true);
    CHECK(names.start() == std::vector<std::string>{"known5"});
  }
}

TEST_CASE(
    "look-ups: what is not wanted any more leaves the queue, and counts while it is under way") {
  Names names;
  for (int round = 0; round < 2000; ++round) {
    const std::string name = "silent" + std::to_string(round);
    REQUIRE(names.ask("a", name) == 0);
    names.start();
    names.withdraw("a", name);
    REQUIRE(names.queue.waiting() == 0);
    REQUIRE(names.queue.running() <= 4);
  }
  CHECK(names.queue.owners() == 1);
  REQUIRE(names.ask("a", "wanted") == 0);
  REQUIRE(names.ask("b", "other") == 0);
  CHECK(names.start() == std::vector<std::string>{"other"});
  CHECK(names.finish("silent0").empty());  // for nobody
  CHECK(names.start() == std::vector<std::string>{"wanted"});
  CHECK(names.finish("wanted").size() == 1);
  for (const char* name : {"silent1", "silent2", "silent3", "other"}) names.finish(name);
  CHECK(names.queue.owners() == 0);
  CHECK(names.queue.running() == 0);
}

TEST_CASE("look-ups: one name is looked up once at a time, and all who wait have the answer") {
  Names names;
  REQUIRE(names.ask("a", "name", 1) == 0);
  CHECK(names.start().size() == 1);
  REQUIRE(names.ask("b", "name", 2) == 0);
  REQUIRE(names.ask("", "name", 3) == 0);
  CHECK(names.start().empty());
  const auto answered = names.finish("name", true);
  REQUIRE(answered.size() == 3);
  for (const auto& each : answered) {
    REQUIRE(each->addresses.size() == 1);
    CHECK(each->addresses.front().port() == each->host.port);
  }
  CHECK(names.queue.waiting() == 0);
  CHECK(names.queue.owners() == 0);
}

TEST_CASE("look-ups: so many may wait, of one near end and of all") {
  Names names;
  names.know("known");
  constexpr int most_of_one = LookUpQueue::most_waiting_of_one;
  silent(names, "a", most_of_one);
  CHECK(names.ask("a", "more") == EBUSY);
  CHECK(names.ask("b", "more") == 0);
  names.withdraw("b", "more");
  constexpr int owners = LookUpQueue::most_waiting / LookUpQueue::most_waiting_of_one;
  for (int i = 1; i < owners; ++i) silent(names, "owner" + std::to_string(i) + ".", most_of_one);
  CHECK(names.ask("b", "more") == EBUSY);
  CHECK(names.queue.waiting() == LookUpQueue::most_waiting);
  CHECK(names.ask("", "of.the.configuration") == 0);
  CHECK(names.ask("b", "known") == 0);
}

TEST_CASE("look-ups: fewer threads are shared out too") {
  Names names;
  names.know("known");
  names.queue.set_threads(2);
  silent(names, "a", 3);
  silent(names, "b", 3);
  CHECK(names.start() == std::vector<std::string>{"a0"});
  CHECK(names.ask("b", "known") == 0);
  CHECK(names.start() == std::vector<std::string>{"known"});
}

TEST_CASE("look-ups: whoever is forgotten is told nothing") {
  Names names;
  REQUIRE(names.ask("a", "one") == 0);
  CHECK(names.start().size() == 1);
  REQUIRE(names.ask("a", "two") == 0);
  names.queue.forget(names.asker);
  CHECK(names.queue.waiting() == 0);
  CHECK(names.finish("one", true).empty());
}

TEST_CASE("the names that are known are bounded, and the ones used last stay") {
  KnownNames known;
  known.note("first", "a", true);
  known.note("second", "a", true);
  for (std::size_t i = 2; i < KnownNames::most_of_one; ++i)
    known.note(std::to_string(i), "a", true);
  known.note("first", "b", true);
  known.note("one more", "a", true);
  CHECK(known.size() == KnownNames::most_of_one);
  CHECK(known.contains("first"));
  CHECK_FALSE(known.contains("second"));
  known.note("first", "b", false);
  CHECK_FALSE(known.contains("first"));
  known.note("unheard of", "a", false);
  CHECK(known.size() == KnownNames::most_of_one - 1);
}

TEST_CASE("an owner whose only name goes for a second one of its own is still there") {
  KnownNames known;
  for (std::size_t i = 0; i < KnownNames::most; ++i) {
    known.note("name" + std::to_string(i), std::to_string(i), true);
  }
  // All have one, so whose goes is the first owner's: that of this very one.
  known.note("second", "0", true);
  CHECK(known.size() == KnownNames::most);
  CHECK(known.contains("second"));
  CHECK_FALSE(known.contains("name0"));
}

TEST_CASE("the names that one owner knows do not push out another's") {
  KnownNames known;
  known.note("honest", "b", true);
  for (std::size_t owner = 0; owner < 20; ++owner) {
    for (std::size_t i = 0; i < 2 * KnownNames::most_of_one; ++i) {
      known.note(std::to_string(owner) + "." + std::to_string(i), std::to_string(owner), true);
    }
  }
  CHECK(known.size() == KnownNames::most);
  CHECK(known.contains("honest"));
}

}  // namespace finhold::tests
