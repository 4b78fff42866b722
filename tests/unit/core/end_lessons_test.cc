// R3(c), "auto": what held ends teach, and what follows from that.
#include "core/end_lessons.h"

#include <array>
#include <string>
#include <vector>

#include <doctest/doctest.h>

namespace finhold::tests {

using core::EndLesson;
using core::EndNeeds;
using core::EndWatch;
using core::Release;
using std::chrono::milliseconds;

namespace {

constexpr std::array lessons{EndLesson::talked_on, EndLesson::waited, EndLesson::lost};
constexpr milliseconds round_trip{50};
constexpr core::Instant short_ms = 200;

EndWatch::Heard after_silence(core::Instant milliseconds) {
  return {milliseconds, short_ms, static_cast<core::Instant>(round_trip.count())};
}

bool any_talked(const std::vector<EndLesson>& history) {
  for (const EndLesson each : history) {
    if (each == EndLesson::talked_on) return true;
  }
  return false;
}

// Since the last one that was lost.
int waited(const std::vector<EndLesson>& history) {
  int count = 0;
  for (const EndLesson each : history) {
    if (each == EndLesson::waited) ++count;
    if (each == EndLesson::lost) count = 0;
  }
  return count;
}

int lost_in_a_row(const std::vector<EndLesson>& history) {
  int count = 0;
  for (const EndLesson each : history) count = each == EndLesson::lost ? count + 1 : 0;
  return count;
}

EndNeeds after(const std::vector<EndLesson>& history) {
  EndNeeds needs;
  for (const EndLesson each : history) {
    needs.learn(EndLesson::none);
    needs.learn(each);
  }
  return needs;
}

}  // namespace

TEST_CASE("end needs: a short wait after two that waited, never behind one that talked on") {
  CHECK(EndNeeds{}.quiet(round_trip) == core::patient_quiet);
  // Every history of up to seven sessions.
  std::vector<std::vector<EndLesson>> histories{{}};
  for (std::size_t from = 0, length = 0; length < 7; ++length) {
    const std::size_t until = histories.size();
    for (; from < until; ++from) {
      for (const EndLesson next : lessons) {
        histories.push_back(histories[from]);
        histories.back().push_back(next);
      }
    }
  }
  CHECK(histories.size() == 3280);
  for (const auto& history : histories) {
    const EndNeeds needs = after(history);
    const bool waits = !any_talked(history) && waited(history) >= 2;
    REQUIRE(needs.waits() == waits);
    REQUIRE(needs.talks_on() == any_talked(history));
    REQUIRE(needs.quiet(round_trip) == (waits ? milliseconds(200) : core::patient_quiet));
    REQUIRE(needs.is_lost_again_and_again() == (lost_in_a_row(history) >= 3));
    REQUIRE(std::string(name(needs)) == (any_talked(history) ? "talks-on"
                                         : waits             ? "waits"
                                                             : "unknown"));
  }
}

TEST_CASE(
    "end needs: four round trips, 100 ms at least, and no longer than where nothing is known") {
  CHECK(core::short_quiet(milliseconds(0)) == milliseconds(100));
  CHECK(core::short_quiet(milliseconds(25)) == milliseconds(100));
  CHECK(core::short_quiet(milliseconds(26)) == milliseconds(104));
  CHECK(core::short_quiet(milliseconds(1249)) == milliseconds(4996));
  CHECK(core::short_quiet(milliseconds(60'000)) == core::patient_quiet);
}

TEST_CASE("end watch: what comes while the FIN is held, sooner or later than a short wait") {
  for (const core::Instant silence : {core::Instant(0), short_ms, short_ms + 1}) {
    CAPTURE(silence);
    const bool late = silence > short_ms;
    const EndLesson lesson = late ? EndLesson::talked_on : EndLesson::none;
    EndWatch watch;
    CHECK(watch.bytes(after_silence(silence)) == EndLesson::none);  // nothing is held
    CHECK(watch.end(after_silence(silence)) == EndLesson::none);
    watch.held();
    EndWatch ended = watch;
    CHECK(watch.bytes(after_silence(silence)) == lesson);
    CHECK(watch.is_watching() == !late);
    CHECK(ended.end(after_silence(silence)) == lesson);
    CHECK_FALSE(ended.is_watching());
    // Each session teaches one thing.
    CHECK(watch.bytes(after_silence(short_ms + 1)) ==
          (late ? EndLesson::none : EndLesson::talked_on));
    watch.released(Release::quiet);
    CHECK(watch.bytes(after_silence(1000)) == EndLesson::none);
    CHECK(watch.end(after_silence(1000)) == EndLesson::none);
    CHECK(watch.failure(true) == EndLesson::none);
  }
  for (const bool vanished : {false, true}) {
    EndWatch watch;
    CHECK(watch.failure(vanished) == EndLesson::none);
    watch.held();
    CHECK(watch.failure(vanished) == EndLesson::none);
    CHECK_FALSE(watch.is_watching());
  }
}

TEST_CASE("end watch: what comes behind the FIN, by why it went out") {
  for (const Release reason : {Release::not_held, Release::other_ended, Release::source_gone,
                               Release::quiet, Release::hold_limit}) {
    const bool by_quiet = reason == Release::quiet;
    CAPTURE(name(reason, base::Flow::to_server));
    const auto released = [&] {
      EndWatch watch;
      watch.held();
      CHECK(watch.bytes(after_silence(short_ms)) == EndLesson::none);
      CHECK_FALSE(watch.waits_for_answer());
      watch.released(reason);
      CHECK(watch.is_watching() == by_quiet);
      CHECK(watch.waits_for_answer() == by_quiet);
      return watch;
    };
    const auto taught = [&](EndLesson lesson) { return by_quiet ? lesson : EndLesson::none; };
    // In whole milliseconds, of which the last may not be over.
    const auto soon = after_silence(core::Instant(round_trip.count() - 2));
    const auto answer = after_silence(core::Instant(round_trip.count() - 1));
    EndWatch watch = released();
    SUBCASE("bytes, too soon") { CHECK(watch.bytes(soon) == taught(EndLesson::talked_on)); }
    SUBCASE("an end, too soon") { CHECK(watch.end(soon) == taught(EndLesson::talked_on)); }
    SUBCASE("an end") { CHECK(watch.end(answer) == taught(EndLesson::waited)); }
    SUBCASE("a reset") { CHECK(watch.failure(false) == taught(EndLesson::waited)); }
    SUBCASE("nothing any more") { CHECK(watch.failure(true) == taught(EndLesson::lost)); }
    SUBCASE("an answer") {
      CHECK(watch.bytes(answer) == EndLesson::none);
      CHECK_FALSE(watch.waits_for_answer());
      CHECK(watch.bytes(after_silence(short_ms)) == EndLesson::none);
      SUBCASE("and its end, however late") {
        CHECK(watch.end(after_silence(1000)) == taught(EndLesson::waited));
      }
      SUBCASE("and a reset") { CHECK(watch.failure(false) == taught(EndLesson::waited)); }
      SUBCASE("and more, later") {
        CHECK(watch.bytes(after_silence(short_ms + 1)) == taught(EndLesson::talked_on));
      }
      SUBCASE("and nothing any more") { CHECK(watch.failure(true) == taught(EndLesson::lost)); }
    }
    CHECK_FALSE(watch.is_watching());
    CHECK(watch.end(answer) == EndLesson::none);
    CHECK(watch.failure(true) == EndLesson::none);
  }
}

}  // namespace finhold::tests
