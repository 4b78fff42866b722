#include "base/network.h"

#include <initializer_list>
#include <string>

#include <doctest/doctest.h>

using finhold::base::Address;
using finhold::base::Network;

namespace {

Network network(const std::string& text) {
  const auto parsed = Network::parse(text);
  REQUIRE_MESSAGE(parsed.ok(), text);
  return parsed.value();
}

// The mistake that is told of a text, or "ok".
std::string said_of(const std::string& text) {
  const auto parsed = Network::parse(text);
  return parsed.ok() ? "ok" : parsed.error().text;
}

bool contains(const std::string& range, const std::string& address) {
  const auto parsed = Address::parse(address);
  REQUIRE_MESSAGE(parsed.ok(), address);
  return network(range).contains(parsed.value());
}

}  // namespace

TEST_CASE("a network is printed as it was written, one address without its prefix") {
  for (const char* text : {"10.0.0.0/8", "0.0.0.0/0", "192.0.2.128/25", "192.0.2.7", "::/0",
                           "2001:db8::/32", "fe80::/10", "2001:db8::1", "255.255.255.255"}) {
    CHECK(network(text).text() == text);
  }
  CHECK(network("192.0.2.7/32").text() == "192.0.2.7");
  CHECK(network("2001:DB8:0::1/128").text() == "2001:db8::1");
}

TEST_CASE("a network contains the addresses that share its prefix, whatever the port") {
  CHECK(contains("10.0.0.0/8", "10.0.0.0:1"));
  CHECK(contains("10.0.0.0/8", "10.255.255.255:65535"));
  CHECK_FALSE(contains("10.0.0.0/8", "11.0.0.0:1"));
  CHECK_FALSE(contains("10.0.0.0/8", "9.255.255.255:1"));
  CHECK(contains("192.0.2.128/25", "192.0.2.255:1"));
  CHECK_FALSE(contains("192.0.2.128/25", "192.0.2.127:1"));
  CHECK(contains("192.0.2.7", "192.0.2.7:1"));
  CHECK_FALSE(contains("192.0.2.7", "192.0.2.6:1"));
  CHECK(contains("0.0.0.0/0", "255.255.255.255:1"));
  CHECK(contains("fe80::/10", "[febf:ffff::1]:1"));
  CHECK_FALSE(contains("fe80::/10", "[fec0::]:1"));
  CHECK(contains("2001:db8::1", "[2001:db8::1]:1"));
  CHECK_FALSE(contains("2001:db8::1", "[2001:db8::2]:1"));
}

TEST_CASE("a network contains the networks that lie wholly inside it") {
  CHECK(network("10.0.0.0/8").contains(network("10.0.0.0/8")));
  CHECK(network("10.0.0.0/8").contains(network("10.255.0.0/16")));
  CHECK(network("10.0.0.0/8").contains(network("10.1.2.3")));
  CHECK_FALSE(network("10.0.0.0/8").contains(network("10.0.0.0/7")));
  CHECK_FALSE(network("10.0.0.0/8").contains(network("11.0.0.0/16")));
  CHECK_FALSE(network("::/0").contains(network("10.0.0.0/8")));
  CHECK(network("::/0").contains(network("fe80::/10")));
  CHECK(network("10.1.2.3").is_one_address());
  CHECK(network("::1").is_one_address());
  CHECK_FALSE(network("10.1.2.2/31").is_one_address());
  CHECK_FALSE(network("2001:db8::/32").is_one_address());
}

TEST_CASE("every prefix length splits at its bit") {
  for (unsigned bits = 1; bits <= 32; ++bits) {
    const unsigned flipped = 1U << (32 - bits);  // the last bit of the prefix
    const auto dotted = [](unsigned value) {
      return std::to_string(value >> 24) + "." + std::to_string(value >> 16 & 255) + "." +
             std::to_string(value >> 8 & 255) + "." + std::to_string(value & 255);
    };
    const std::string range = "0.0.0.0/" + std::to_string(bits);
    CHECK(contains(range, dotted(flipped - 1) + ":1"));
    CHECK_FALSE(contains(range, dotted(flipped) + ":1"));
    CHECK(said_of(dotted(flipped) + "/" + std::to_string(bits)) == "ok");
    CHECK(said_of(dotted(flipped) + "/" + std::to_string(bits - 1)) != "ok");
  }
}

TEST_CASE("an IPv4-mapped IPv6 address counts as the IPv4 address") {
  CHECK(contains("10.0.0.0/8", "[::ffff:10.1.2.3]:1"));
  CHECK_FALSE(contains("10.0.0.0/8", "[::ffff:11.1.2.3]:1"));
  CHECK_FALSE(contains("::/0", "[::ffff:10.1.2.3]:1"));
  CHECK(network("::ffff:10.0.0.0/104") == network("10.0.0.0/8"));
  CHECK(network("::ffff:0.0.0.0/96") == network("0.0.0.0/0"));
  CHECK(network("::ffff:192.0.2.7") == network("192.0.2.7"));
}

TEST_CASE("a network around an address is all of an IPv4 one, and so many bits of an IPv6 one") {
  const auto around = [](const char* address, unsigned bits) {
    return Network::around(Address::parse(address).value(), bits);
  };
  CHECK(around("192.0.2.7:1", 64) == network("192.0.2.7"));
  CHECK(around("[::ffff:192.0.2.7]:1", 64) == network("192.0.2.7"));
  CHECK(around("[2001:db8:1:2:3::4]:1", 64) == network("2001:db8:1:2::/64"));
  CHECK(around("[2001:db8:1:2:3::4]:1", 128) == network("2001:db8:1:2:3::4"));
  CHECK(around("[2001:db8:1:2::4]:1", 64).hash(7) == around("[2001:db8:1:2:3::5]:9", 64).hash(7));
  CHECK(around("[2001:db8:1:2::4]:1", 64).hash(7) != around("[2001:db8:1:3::4]:1", 64).hash(7));
}

TEST_CASE("the families do not mix") {
  CHECK_FALSE(contains("0.0.0.0/0", "[::1]:1"));
  CHECK_FALSE(contains("::/0", "127.0.0.1:1"));
  CHECK(network("0.0.0.0/0").family() == AF_INET);
  CHECK(network("::/0").family() == AF_INET6);
}

TEST_CASE("bits behind the prefix are told with both cures") {
  CHECK(said_of("10.0.0.1/8") ==
        "\"10.0.0.1/8\" has bits set behind its prefix; write \"10.0.0.0/8\" for the network, or "
        "\"10.0.0.1\" for the one address");
  CHECK(said_of("2001:db8::1/33") ==
        "\"2001:db8::1/33\" has bits set behind its prefix; write \"2001:db8::/33\" for the "
        "network, or \"2001:db8::1\" for the one address");
}

TEST_CASE("a wrong prefix length is told the right ones") {
  for (const char* digits : {"33", "08", "", "-1", "8 ", "+8", "x", "99999999999999", "8/8"}) {
    CHECK(said_of("10.0.0.0/" + std::string(digits)) ==
          "\"10.0.0.0/" + std::string(digits) + "\": \"" + digits +
              "\" is not a prefix length; behind the / of an IPv4 network stands a number from 0 "
              "to 32");
  }
  CHECK(said_of("::/129") ==
        "\"::/129\": \"129\" is not a prefix length; behind the / of an IPv6 network stands a "
        "number from 0 to 128");
}

TEST_CASE("what is no address is no network") {
  for (const std::string text : {"", "/8", "10/8", "10.0.0/8", "localhost", "10.0.0.0:80", "[::1]",
                                 "010.0.0.0/8", "fe80::1%lo", " 10.0.0.0/8", "*"}) {
    CHECK(said_of(text) == "\"" + text +
                               "\" is not a network; write it as \"10.0.0.0/8\" or "
                               "\"2001:db8::/32\", or one address as \"192.0.2.7\"");
  }
  CHECK(said_of(std::string("10.0.0.0\0/8", 11)) != "ok");
}
