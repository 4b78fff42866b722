// Durations and sizes as people write them.
#include "base/duration.h"

#include <string>

#include <doctest/doctest.h>

using namespace finhold::base;
using namespace std::chrono_literals;

namespace {

// What parse_duration makes of a text: the value in milliseconds, or its words.
std::string duration(std::string_view text) {
  const auto parsed = parse_duration(text);
  return parsed.ok() ? std::to_string(parsed.value().count()) : parsed.error().text;
}

std::string bytes(std::string_view text) {
  const auto parsed = parse_size(text);
  return parsed.ok() ? std::to_string(parsed.value()) : parsed.error().text;
}

std::string not_a_duration(const std::string& text) {
  return "\"" + text +
         "\" is not a duration; write whole numbers with units h, m, s or ms, such as \"5s\", "
         "\"2h4m\" or \"250ms\"";
}

std::string not_a_size(const std::string& text) {
  return "\"" + text +
         R"(" is not a size; write a whole number with B, KiB, MiB or GiB, such as "256KiB")";
}

}  // namespace

TEST_CASE("a duration is a sum of whole numbers with units") {
  CHECK(duration("0s") == "0");
  CHECK(duration("250ms") == "250");
  CHECK(duration("5s") == "5000");
  CHECK(duration("10m") == "600000");
  CHECK(duration("2h4m") == "7440000");
  CHECK(duration("1h2m3s4ms") == "3723004");
  CHECK(duration("90m") == "5400000");
  CHECK(duration("87600h") == "315360000000");
}

TEST_CASE("what is not a duration is told how one is written") {
  for (const std::string text : {"",
                                 "5",
                                 "s",
                                 "5 s",
                                 " 5s",
                                 "5s ",
                                 "5S",
                                 "1.5s",
                                 "-5s",
                                 "+5s",
                                 "5s3",
                                 "5x",
                                 "5s5s",
                                 "4m2h",
                                 "1s1m",
                                 "never",
                                 "99999999999999999999s",
                                 "5sec",
                                 "0x5s",
                                 "5m s"}) {
    CHECK(duration(text) == not_a_duration(text));
  }
}

TEST_CASE("a duration has at most ten years, also as a sum") {
  CHECK(duration("87601h") == "\"87601h\" is longer than ten years; write less");
  CHECK(duration("87600h1ms") == "\"87600h1ms\" is longer than ten years; write less");
  CHECK(duration("18446744073709551615ms") ==
        "\"18446744073709551615ms\" is longer than ten years; write less");
}

TEST_CASE("a limit is a duration or never") {
  CHECK(parse_limit("never").value() == Limit());
  CHECK(parse_limit("5s").value() == Limit(5s));
  CHECK(parse_limit("0s").value() == Limit(0s));
  CHECK(parse_limit("Never").error().text == not_a_duration("Never") + ", or \"never\"");
  CHECK(parse_limit("87601h").error().text ==
        "\"87601h\" is longer than ten years; write less, or \"never\"");
}

TEST_CASE("a size is a whole number of bytes, with a unit or without") {
  CHECK(bytes("0") == "0");
  CHECK(bytes("4096") == "4096");
  CHECK(bytes("1B") == "1");
  CHECK(bytes("256KiB") == "262144");
  CHECK(bytes("2MiB") == "2097152");
  CHECK(bytes("1024GiB") == "1099511627776");
}

TEST_CASE("what is not a size is told how one is written") {
  for (const std::string text : {"", "KiB", "256KB", "256k", "256 KiB", "1.5MiB", "-1", "1KiB1B",
                                 "256kib", "99999999999999999999"}) {
    CHECK(bytes(text) == not_a_size(text));
  }
  CHECK(bytes("1025GiB") == "\"1025GiB\" is more than 1024GiB");
  CHECK(bytes("18446744073709551615GiB") == "\"18446744073709551615GiB\" is more than 1024GiB");
}

TEST_CASE("a formatted duration reads back as itself") {
  CHECK(format_duration(0ms) == "0s");
  CHECK(format_duration(250ms) == "250ms");
  CHECK(format_duration(7'440'000ms) == "2h4m");
  CHECK(format_duration(3'723'004ms) == "1h2m3s4ms");
  CHECK(format_duration(90min) == "1h30m");
  CHECK(format_limit(Limit()) == "never");
  CHECK(format_limit(Limit(5s)) == "5s");
  for (const Milliseconds value : {1ms, 999ms, 1'000ms, 61'001ms, 3'600'000ms, 315'360'000'000ms}) {
    CHECK(parse_duration(format_duration(value)).value() == value);
  }
}

TEST_CASE("a formatted size has the largest unit that divides it") {
  CHECK(format_size(0) == "0B");
  CHECK(format_size(1) == "1B");
  CHECK(format_size(1023) == "1023B");
  CHECK(format_size(262144) == "256KiB");
  CHECK(format_size(262145) == "262145B");
  CHECK(format_size(1ULL << 40) == "1024GiB");
}
