// Who is told of resets, and when.
#include "tunnel/reset_queue.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <doctest/doctest.h>

namespace finhold::tunnel {
namespace {

struct Leg final : ResetQueue::Entry {
  explicit Leg(std::function<void()> what) : on_told(std::move(what)) {}
  using Entry::leave;
  std::function<void()> on_told;

 private:
  void tell() override { on_told(); }
};

}  // namespace

TEST_CASE("reset queue: each once, in the order in which they came, so many at a time") {
  ResetQueue queue;
  std::vector<int> told;
  std::vector<std::unique_ptr<Leg>> legs;
  const int many = 2 * ResetQueue::most_told + 1;
  for (int i = 0; i < many; ++i) {
    legs.push_back(std::make_unique<Leg>([&told, i] { told.push_back(i); }));
    queue.add(*legs.back(), 7);
    queue.add(*legs.back(), 7);
  }
  for (const int count : {ResetQueue::most_told, 2 * ResetQueue::most_told, many}) {
    CHECK_FALSE(queue.empty());
    queue.tell_some();
    CHECK(told.size() == static_cast<std::size_t>(count));
  }
  CHECK(queue.empty());
  queue.tell_some();
  for (int i = 0; i < many; ++i) CHECK(told[static_cast<std::size_t>(i)] == i);
}

TEST_CASE("reset queue: any may leave, also while one is told, and come again") {
  for (const std::size_t gone : {0U, 1U, 2U, 3U}) {
    CAPTURE(gone);
    ResetQueue queue;
    std::string told;
    std::vector<std::unique_ptr<Leg>> legs;
    for (const char name : {'a', 'b', 'c', 'd'}) {
      legs.push_back(std::make_unique<Leg>([&told, name] { told += name; }));
      queue.add(*legs.back(), 7);
    }
    std::string expected = "abcd";
    SUBCASE("by itself") {
      legs[gone]->leave();
      legs[gone]->leave();
      expected.erase(gone, 1);
    }
    SUBCASE("destroyed") {
      legs[gone].reset();
      expected.erase(gone, 1);
    }
    SUBCASE("destroyed by the first, itself too") {
      legs[0]->on_told = [&] {
        told += 'a';
        legs[gone].reset();
      };
      if (gone > 0) expected.erase(gone, 1);
    }
    SUBCASE("again, at the end") {
      legs[gone]->leave();
      queue.add(*legs[gone], 7);
      expected += expected[gone];
      expected.erase(gone, 1);
    }
    queue.tell_some();
    CHECK(told == expected);
    CHECK(queue.empty());
  }
}

TEST_CASE("reset queue: one of each source by turns, and who has many is known") {
  ResetQueue queue;
  std::string told;
  std::vector<std::unique_ptr<Leg>> legs;
  const auto add = [&](char name, std::uint64_t source) {
    legs.push_back(std::make_unique<Leg>([&told, name] { told += name; }));
    queue.add(*legs.back(), source);
  };
  for (std::size_t i = 0; i < ResetQueue::many; ++i) {
    CHECK_FALSE(queue.has_many_of(1));
    add('a', 1);
  }
  CHECK(queue.has_many_of(1));
  CHECK_FALSE(queue.has_many_of(2));
  add('b', 2);
  add('c', 3);
  queue.tell_some();
  CHECK(told.size() == static_cast<std::size_t>(ResetQueue::most_told));
  CHECK(told.find('b') < 3);
  CHECK(told.find('c') < 3);
  CHECK_FALSE(queue.has_many_of(1));
  while (!queue.empty()) queue.tell_some();
  CHECK(told.size() == legs.size());
}

}  // namespace finhold::tunnel
