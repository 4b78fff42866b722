// The items of `catch` and `spare`: what they mean, and the exact words about wrong ones.
#include "config/catch_rule.h"

#include <string>

#include <doctest/doctest.h>

using finhold::config::parse_traffic;
using finhold::relay::Traffic;

namespace {

Traffic traffic_of(const std::string& text) {
  auto parsed = parse_traffic(text);
  REQUIRE_MESSAGE(parsed.ok(), parsed.error().text);
  return parsed.value();
}

std::string shown(const std::string& text) {
  const Traffic traffic = traffic_of(text);
  if (traffic.user) return "user " + std::to_string(*traffic.user);
  return (traffic.network ? traffic.network->text() : "any") + " " + traffic.ports.text();
}

std::string refused(const std::string& text) {
  const auto parsed = parse_traffic(text);
  return parsed.ok() ? "ok" : parsed.error().text;
}

constexpr const char* forms =
    R"("10.0.0.0/8:514", "[2001:db8::/32]:7000-7010", ":514" or "user:NAME")";

}  // namespace

TEST_CASE("networks and ports, either of which may be left out") {
  CHECK(shown("10.0.0.0/8:514") == "10.0.0.0/8 514");
  CHECK(shown("192.0.2.7:9000") == "192.0.2.7 9000");
  CHECK(shown("192.0.2.7") == "192.0.2.7 1-65535");
  CHECK(shown(":7000-7010") == "any 7000-7010");
  CHECK(shown("0.0.0.0/0:1-65535") == "0.0.0.0/0 1-65535");
  CHECK(shown("[2001:db8::/32]:514") == "2001:db8::/32 514");
  CHECK(shown("[::1]") == "::1 1-65535");
  CHECK(shown("[::ffff:10.0.0.0/104]:514") == "10.0.0.0/8 514");
  CHECK(traffic_of("10.0.0.0/8").ports.every_port());
  CHECK_FALSE(traffic_of(":514").ports.every_port());
}

TEST_CASE("users by name and by number") {
  CHECK(shown("user:root") == "user 0");
  CHECK(shown("user:1000") == "user 1000");
  CHECK(refused("user:no_such_user_here") ==
        "\"user:no_such_user_here\" names no user of this machine; write a name that \"getent "
        "passwd\" lists, or a number as \"user:1000\"");
  CHECK(refused("user:").starts_with("\"user:\" names no user"));
  CHECK(refused("user:4294967295").starts_with("\"user:4294967295\" names no user"));
  CHECK(refused(std::string("user:root\0x", 11)).find("names no user") != std::string::npos);
}

TEST_CASE("ports are one, or two in order") {
  const auto words = [](const std::string& text, const std::string& ports) {
    return "\"" + text + "\" has \"" + ports +
           "\" behind the colon; write a port from 1 to 65535, or two as 7000-7010, the lower one "
           "first";
  };
  for (const char* ports : {"", "0", "65536", "70-60", "-5", "5-", "http", "514,515", " 514"}) {
    const std::string text = ":" + std::string(ports);
    CHECK(refused(text) == words(text, ports));
  }
  CHECK(refused("[2001:db8::/32]:x") == words("[2001:db8::/32]:x", "x"));
}

TEST_CASE("networks are numeric, and IPv6 stands in brackets") {
  CHECK(refused("example.net:514") ==
        std::string("\"example.net:514\" does not begin with a network; write ") + forms);
  CHECK(refused("514") == std::string("\"514\" does not begin with a network; write ") + forms);
  CHECK(refused("") == std::string("\"\" does not begin with a network; write ") + forms);
  CHECK(refused("10.0.0.5/8:514") ==
        "\"10.0.0.5/8:514\" has a wrong network: \"10.0.0.5/8\" has bits set behind its prefix; "
        "write \"10.0.0.0/8\" for the network, or \"10.0.0.5\" for the one address");
  for (const char* text : {"2001:db8::/32", "2001:db8::5:514", "::"}) {
    CHECK(refused(text) == "\"" + std::string(text) +
                               "\" is not understood; an IPv6 network stands in brackets, as "
                               "\"[2001:db8::/32]\" or \"[2001:db8::/32]:514\"");
  }
  for (const char* text : {"[2001:db8::]/32:514", "[2001:db8::/32"}) {
    CHECK(refused(text) == "\"" + std::string(text) +
                               "\" is not understood; the brackets are around all of an IPv6 "
                               "network, as in \"[2001:db8::/32]:514\"");
  }
  CHECK(refused("[10.0.0.0/8]:514") ==
        std::string("\"[10.0.0.0/8]:514\" has brackets around what is no IPv6 network; write ") +
            forms);
  CHECK(refused("[]:514").find("no IPv6 network") != std::string::npos);
}

TEST_CASE("the address of no host is no destination") {
  CHECK(refused("0.0.0.0:514") ==
        "\"0.0.0.0:514\" catches nothing: no connection goes to 0.0.0.0; write \":514\" for every "
        "destination");
  CHECK(refused("[::]:514") ==
        "\"[::]:514\" catches nothing: no connection goes to ::; write \":514\" for every "
        "destination");
}
