// Running nft and ip: order, repetition, and what a person is told.
#include "rules/run_program.h"

#include <csignal>
#include <cstdlib>
#include <string>

#include <doctest/doctest.h>

using finhold::rules::Program;
using finhold::rules::run_programs;

namespace {

std::string told(const std::vector<Program>& programs) {
  const auto mistake = run_programs(programs);
  return mistake ? mistake->text : "ok";
}

}  // namespace

TEST_CASE("what fails is told with its words and its own") {
  CHECK(told({{.words = {"true"}}, {.why = "nothing to run"}}) == "ok");
  CHECK(told({{.words = {"false"}}}) == "\"false\" failed");
  CHECK(told({{.words = {"cat", "/nonexistent/file"}}}) ==
        "\"cat /nonexistent/file\" failed: cat: /nonexistent/file: No such file or directory");
  CHECK(told({{.words = {"cmp", "-", "/dev/null"}, .input = "text"}})
            .starts_with("\"cmp - /dev/null\" failed: cmp: EOF on /dev/null"));
  CHECK(told({{.words = {"finhold-no-such-program"}}}) ==
        "\"finhold-no-such-program\" is found neither in PATH nor in /usr/sbin, /sbin, /usr/bin "
        "and /bin; install "
        "iproute2");
}

TEST_CASE("the first failure ends it, but for what may fail") {
  CHECK(told({{.words = {"false"}}, {.words = {"cat", "/nonexistent"}}}) == "\"false\" failed");
  CHECK(told({{.words = {"false"}, .may_fail = true},
              {.words = {"finhold-no-such-program"}, .may_fail = true}}) == "ok");
}

TEST_CASE("the environment of finhold is not that of its programs") {
  setenv("FINHOLD_TEST", "yes", 1);  // NOLINT(concurrency-mt-unsafe): no other thread here
  const std::string said = told(
      {{.words = {"sh", "-c", R"(test -z "$FINHOLD_TEST" && test -n "$PATH" && test $LANG = C)"}}});
  unsetenv("FINHOLD_TEST");  // NOLINT(concurrency-mt-unsafe)
  CHECK(said == "ok");
}

TEST_CASE("a program whose end nobody is told of has failed") {
  auto* const before = std::signal(SIGCHLD, SIG_IGN);
  const std::string said = told({{.words = {"true"}}});
  static_cast<void>(std::signal(SIGCHLD, before));
  CHECK(said.starts_with("\"true\" could not be run: "));
}

TEST_CASE("a program is not run if another says something, or has run often enough") {
  CHECK(told({{.words = {"false"}, .unless = {"echo", "yes"}}}) == "ok");
  // A complaint is nothing that is found, and neither is what somebody writes who fails.
  CHECK(told({{.words = {"false"}, .unless = {"cat", "/nonexistent"}}}) == "\"false\" failed");
  CHECK(told({{.words = {"false"}, .unless = {"cat", "/proc/version", "/nonexistent"}}}) ==
        "\"false\" failed");
  CHECK(told({{.words = {"false"}, .unless = {"true"}}}) == "\"false\" failed");
  CHECK(told({{.words = {"false"}, .unless = {"finhold-no-such-program"}}}) == "\"false\" failed");
  CHECK(told({{.words = {"true"}, .may_fail = true, .at_most = 3}}) == "ok");
}
