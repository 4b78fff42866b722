#include "base/port_range.h"

#include <string>

#include <doctest/doctest.h>

using finhold::base::PortRange;
using finhold::base::split_ports;

TEST_CASE("a range of ports is one, or two in order, and is printed as it was written") {
  for (const std::string text : {"1", "514", "65535", "7000-7010", "1-65535"}) {
    const auto range = PortRange::parse(text);
    REQUIRE_MESSAGE(range, text);
    CHECK(range->text() == text);
  }
  for (const std::string text : {"",           "0",          "65536",
                                 "70-60",      "-5",         "5-",
                                 "5-6-7",      "0-1",        "+5",
                                 " 5",         "5 ",         "0x5",
                                 "http",       "0514",       "00",
                                 "07000-7010", "7000-07010", "065535",
                                 "000000514",  "514,515",    "99999999999999999999"}) {
    CHECK_MESSAGE(!PortRange::parse(text), text);
  }
  CHECK(PortRange::parse("514-514") == PortRange{514, 514});
  CHECK(PortRange{}.every_port());
  CHECK_FALSE(PortRange{1, 65'534}.every_port());
}

TEST_CASE("a range contains both its ends") {
  const PortRange range{7000, 7010};
  CHECK(range.contains(7000));
  CHECK(range.contains(7010));
  CHECK_FALSE(range.contains(6999));
  CHECK_FALSE(range.contains(7011));
}

TEST_CASE("what is before the ports is taken out of its brackets") {
  const auto shown = [](const std::string& text) -> std::string {
    const auto parts = split_ports(text);
    if (!parts) return "not understood";
    return std::string(parts->before) + (parts->bracketed ? " bracketed" : "") +
           (parts->ports ? " ports " + std::string(*parts->ports) : "");
  };
  CHECK(shown("10.0.0.0/8:514") == "10.0.0.0/8 ports 514");
  CHECK(shown("10.0.0.0/8") == "10.0.0.0/8");
  CHECK(shown(":514") == " ports 514");
  CHECK(shown("a:") == "a ports ");
  CHECK(shown("").empty());
  CHECK(shown("[::1]:514") == "::1 bracketed ports 514");
  CHECK(shown("[::1]") == "::1 bracketed");
  CHECK(shown("[]:") == " bracketed ports ");
  for (const std::string text : {"::1", "a:b:c", "[::1", "[::1]514", "[::]/0:514", "["}) {
    CHECK_MESSAGE(shown(text) == "not understood", text);
  }
}
