// Addresses and host:port pairs as people write them.
#include "base/address.h"

#include <arpa/inet.h>
#include <string>

#include <doctest/doctest.h>

using namespace finhold::base;

namespace {

// The text of what Address::parse makes of a text, or its words.
std::string address(std::string_view text) {
  const auto parsed = Address::parse(text);
  return parsed.ok() ? parsed.value().text() : parsed.error().text;
}

std::string host_port(std::string_view text) {
  const auto parsed = HostPort::parse(text);
  return parsed.ok() ? parsed.value().text() : parsed.error().text;
}

std::string not_an_address(const std::string& text) {
  return "\"" + text +
         R"(" is not an address and a port; write it as "127.0.0.1:7000" or "[::1]:7000")";
}

std::string not_ipv4(const std::string& host) {
  return "\"" + host +
         "\" is not an IPv4 address; a name cannot stand here (use \"0.0.0.0\" or \"[::]\" for "
         "every address of this machine)";
}

std::string not_a_port(const std::string& port, const std::string& lowest) {
  return "\"" + port + "\" is not a port; a port is a number from " + lowest + " to 65535";
}

std::string not_a_host_port(const std::string& text) {
  return "\"" + text +
         "\" is not a host and a port; write it as \"example.net:7000\", \"10.0.0.5:7000\" or "
         "\"[2001:db8::5]:7000\"";
}

std::string not_a_host(const std::string& host) {
  return "\"" + host + "\" is not a host name or an IPv4 address";
}

}  // namespace

TEST_CASE("an address is numeric, with a port") {
  CHECK(address("127.0.0.1:7000") == "127.0.0.1:7000");
  CHECK(address("0.0.0.0:0") == "0.0.0.0:0");
  CHECK(address("255.255.255.255:65535") == "255.255.255.255:65535");
  CHECK(address("[::]:7000") == "[::]:7000");
  CHECK(address("[2001:DB8:0:0::5]:22") == "[2001:db8::5]:22");
  CHECK(address("[::ffff:10.0.0.5]:22") == "10.0.0.5:22");
}

TEST_CASE("what is not an address is told how one is written") {
  CHECK(address("") == not_an_address(""));
  CHECK(address("7000") == not_an_address("7000"));
  CHECK(address("127.0.0.1") == not_an_address("127.0.0.1"));
  CHECK(address("::1:7000") == not_an_address("::1:7000"));
  CHECK(address("[::1]") == not_an_address("[::1]"));
  CHECK(address("[::1]7000") == not_an_address("[::1]7000"));
  CHECK(address("[::1:7000") == not_an_address("[::1:7000"));
  CHECK(address("localhost:7000") == not_ipv4("localhost"));
  CHECK(address("*:7000") == not_ipv4("*"));
  CHECK(address("127.1:7000") == not_ipv4("127.1"));
  CHECK(address("010.0.0.1:7000") == not_ipv4("010.0.0.1"));
  CHECK(address(" 127.0.0.1:7000") == not_ipv4(" 127.0.0.1"));
  CHECK(address("[localhost]:7000") == "\"localhost\" is not an IPv6 address");
  CHECK(address("[127.0.0.1]:7000") == "\"127.0.0.1\" is not an IPv6 address");
  CHECK(address("[]:7000") == "\"\" is not an IPv6 address");
  CHECK(address(":7000") ==
        "the address before the port is missing (use \"0.0.0.0\" or \"[::]\" for every address of "
        "this machine)");
}

TEST_CASE("an address that goes on behind a NUL is not one") {
  using namespace std::string_literals;
  CHECK(address("127.0.0.1\0x:7000"s) == not_ipv4("127.0.0.1\0x"s));
  CHECK(address("[::1\0x]:7000"s) == "\"::1\0x\" is not an IPv6 address"s);
  CHECK(host_port("[::1\0x]:7000"s) == "\"::1\0x\" is not an IPv6 address"s);
  CHECK(host_port("10.0.0.5\0:7000"s) == not_a_host("10.0.0.5\0"s));
}

TEST_CASE("a port is a number up to 65535, and 0 only where any port will do") {
  for (const std::string port :
       {"70000", "65536", "-1", "+1", "x", "", "80x", " 80", "0x50", "99999999999999999999"}) {
    CHECK(address("127.0.0.1:" + port) == not_a_port(port, "0"));
    CHECK(host_port("example.net:" + port) == not_a_port(port, "1"));
  }
  CHECK(host_port("example.net:0") == not_a_port("0", "1"));
  for (const std::string port : {"031000", "031", "0007000", "01"}) {
    const std::string words = "\"" + port +
                              "\" is not a port; write it without the zero before it, \"" +
                              port.substr(port.find_first_not_of('0')) + "\"";
    CHECK(address("127.0.0.1:" + port) == words);
    CHECK(host_port("example.net:" + port) == words);
    CHECK(host_port("[::1]:" + port) == words);
  }
  for (const std::string port : {"00", "070000", "000", "0x1", "00+1"}) {
    CHECK(address("127.0.0.1:" + port) == not_a_port(port, "0"));
  }
  CHECK(host_port("example.net:65535") == "example.net:65535");
}

TEST_CASE("a host is a name or a numeric address") {
  for (const std::string text :
       {"example.net:7000", "example.net.:7000", "db:5432", "my_host-1.internal:1", "10.0.0.5:7000",
        "[2001:db8::5]:7000", "[::ffff:10.0.0.5]:1", "3com.example:80", "1.example:80"}) {
    CHECK(host_port(text) == text);
  }
  CHECK(HostPort::parse("[::1]:80").value().host == "::1");
}

TEST_CASE("what is not a host and a port is told how they are written") {
  for (const std::string text :
       {"", "example.net", ":7000", "http://example.net:80/", "::1:80", "[::1]", "a:b:c"}) {
    CHECK(host_port(text) == not_a_host_port(text));
  }
  CHECK(host_port("my host:80") == not_a_host("my host"));
  CHECK(host_port("a..b:80") == not_a_host("a..b"));
  CHECK(host_port(".:80") == not_a_host("."));
  CHECK(host_port("exa\xC3\xA4mple:80") == not_a_host("exa\xC3\xA4mple"));
  CHECK(host_port(std::string(64, 'x') + ".net:80") == not_a_host(std::string(64, 'x') + ".net"));
  CHECK(host_port("[example.net]:80") == "\"example.net\" is not an IPv6 address");
}

TEST_CASE("a link-local address has its interface behind it, by name or number") {
  CHECK(address("[fe80::1%lo]:7000") == "[fe80::1%lo]:7000");
  CHECK(address("[fe80::1%1]:7000") == "[fe80::1%lo]:7000");     // the loopback of every namespace
  CHECK(address("[fe80::1%25lo]:7000") == "[fe80::1%lo]:7000");  // RFC 6874
  CHECK(address("[FEBF::1%lo]:0") == "[febf::1%lo]:0");
  const Address with = Address::parse("[fe80::1%lo]:7000").value();
  const Address without = Address::parse("[fe80::1]:7000").value();
  CHECK(with.zone() == "lo");
  CHECK(without.zone().empty());
  CHECK_FALSE(with == without);
  CHECK(with.without_zone() == without);
  CHECK(without.lacks_zone());
  CHECK_FALSE(with.lacks_zone());
  CHECK_FALSE(Address::parse("[2001:db8::1]:1").value().lacks_zone());
  CHECK_FALSE(Address::parse("169.254.1.1:1").value().lacks_zone());
}

TEST_CASE("what is wrong with an interface is told") {
  CHECK(address("[fe80::1%eth77]:7000") ==
        "\"eth77\" is no interface of this machine; \"ip link\" lists them");
  CHECK(address("[fe80::1%4000000000]:7000") ==
        "\"4000000000\" is no interface of this machine; \"ip link\" lists them");
  for (const auto& parsed :
       {address("[2001:db8::1%lo]:7000"), host_port("[2001:db8::1%lo]:7000")}) {
    CHECK(parsed ==
          "\"2001:db8::1\" is the same on every interface; take the % and what follows away, which "
          "belong to link-local addresses (fe80::/10)");
  }
  for (const std::string zone : {"", "a b", "sixteen.letters.", "a/b", "lo%lo", "\xC3\xA4"}) {
    const std::string words =
        "\"" + zone +
        "\" is not the name of an interface; behind the % stands a name or number "
        "that \"ip link\" shows";
    CHECK(address("[fe80::1%" + zone + "]:7000") == words);
    CHECK(host_port("[fe80::1%" + zone + "]:7000") == words);
  }
  CHECK(address("[fe80:%lo]:7000") == "\"fe80:\" is not an IPv6 address");
}

TEST_CASE("the interface of a server may be another machine's") {
  const auto server = HostPort::parse("[fe80::1%25eth77]:7000").value();
  CHECK(server.host == "fe80::1%eth77");
  CHECK(server.text() == "[fe80::1%eth77]:7000");
  CHECK(server.authority() == "[fe80::1%25eth77]:7000");
  CHECK(HostPort::parse("[2001:db8::5]:1").value().authority() == "[2001:db8::5]:1");
  for (const std::string zone : {"25", "2", "25g0", "2525"}) {  // "%25" begins nothing or a name
    const HostPort one{"fe80::1%" + zone, 7000};
    CHECK(HostPort::parse(one.text()).value() == one);
    CHECK(HostPort::parse(one.authority()).value() == one);
  }
  REQUIRE(server.zone_mistake());
  CHECK(server.zone_mistake()->text ==
        "\"eth77\" is no interface of this machine; \"ip link\" lists them");
  CHECK(HostPort::parse("[fe80::1]:7000").value().zone_mistake()->text ==
        "\"fe80::1\" is link-local, so it needs the interface that it is on; write "
        "\"[fe80::1%eth0]\" with the name that \"ip link\" shows");
  for (const char* good : {"[fe80::1%lo]:1", "[::1]:1", "10.0.0.5:1", "example.net:1"}) {
    CHECK_FALSE(HostPort::parse(good).value().zone_mistake());
  }
}

TEST_CASE("a host that looks like an IPv4 address must be one") {
  for (const std::string host : {"10.0.0.256", "10.0.5", "7000", "1.2.3.4.5", "010.0.0.1",
                                 "0x7f000001", "0x7f.0x1", "10.0.0.0XFF", "x.0x"}) {
    CHECK(host_port(host + ":80") == not_a_host(host));
  }
}

TEST_CASE("an address from the kernel is the one that was written") {
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  v4.sin_port = htons(7000);
  inet_pton(AF_INET, "10.0.0.5", &v4.sin_addr);
  const Address address = Address::from(reinterpret_cast<const sockaddr*>(&v4));
  CHECK(address == Address::parse("10.0.0.5:7000").value());
  CHECK(address.length() == sizeof(sockaddr_in));
  CHECK(address.port() == 7000);

  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(22);
  v6.sin6_addr = in6addr_loopback;
  const Address other = Address::from(reinterpret_cast<const sockaddr*>(&v6));
  CHECK(other == Address::parse("[::1]:22").value());
  CHECK(other.length() == sizeof(sockaddr_in6));
  CHECK_FALSE(other == address);
}

TEST_CASE("an address differs by its host, its port or its family") {
  const Address one = Address::parse("127.0.0.1:7000").value();
  CHECK(one.with_port(7001).text() == "127.0.0.1:7001");
  CHECK_FALSE(one == one.with_port(7001));
  CHECK_FALSE(one == Address::parse("127.0.0.2:7000").value());
  CHECK_FALSE(Address::parse("0.0.0.0:1").value() == Address::parse("[::]:1").value());
  CHECK(Address().text() == "0.0.0.0:0");
}

TEST_CASE("an IPv4-mapped address is the IPv4 address in other clothes") {
  const Address mapped = Address::parse("[::ffff:10.0.0.5]:7000").value();
  CHECK(mapped.unmapped() == Address::parse("10.0.0.5:7000").value());
  for (const char* plain : {"10.0.0.5:7000", "[2001:db8::5]:7000"}) {
    CHECK(Address::parse(plain).value().unmapped() == Address::parse(plain).value());
  }
}

TEST_CASE("the addresses that mean every address") {
  for (const char* any : {"0.0.0.0:1", "[::]:1", "[::ffff:0.0.0.0]:1"}) {
    CHECK(Address::parse(any).value().is_any());
  }
  for (const char* one : {"0.0.0.1:0", "[::1]:0", "[::ffff:10.0.0.5]:0"}) {
    CHECK_FALSE(Address::parse(one).value().is_any());
  }
}
