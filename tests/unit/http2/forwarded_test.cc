#include "http2/forwarded.h"

#include <doctest/doctest.h>

#include "tls/secret.h"
#include "tunnel/backoff.h"

namespace finhold::tests {

using http2::forwarded_client;
using http2::forwarded_for;

namespace {

base::Address address(const char* text) { return base::Address::parse(text).value(); }

std::string client(std::string_view header) {
  const auto found = forwarded_client(header);
  return found ? found->text() : "none";
}

}  // namespace

TEST_CASE("forwarded: what is made is what RFC 7239 section 6 asks for, and is read again") {
  CHECK(forwarded_for(address("192.0.2.1:4711")) == R"(for="192.0.2.1:4711")");
  CHECK(forwarded_for(address("[2001:db8::1]:4711")) == R"(for="[2001:db8::1]:4711")");
  CHECK(forwarded_for(address("[::ffff:192.0.2.1]:4711")) == R"(for="192.0.2.1:4711")");
  for (const char* one : {"192.0.2.1:4711", "[2001:db8::1]:4711"}) {
    CHECK(client(forwarded_for(address(one))) == one);
  }
}

TEST_CASE("forwarded: forms that others write") {
  CHECK(client("for=192.0.2.60;proto=http;by=203.0.113.43") == "192.0.2.60:0");
  CHECK(client(R"(For="[2001:db8:cafe::17]:4711")") == "[2001:db8:cafe::17]:4711");
  CHECK(client(R"(for="[2001:db8:cafe::17]")") == "[2001:db8:cafe::17]:0");
  CHECK(client(R"(proto=https;FOR="192.0.2.43:47011")") == "192.0.2.43:47011");
  CHECK(client(R"(for="192.0.2.43:_secret")") == "192.0.2.43:0");
  CHECK(client(R"(for="192.0.2.43\:47011")") == "192.0.2.43:47011");
  CHECK(client(R"(for="[::ffff:192.0.2.1]:7")") == "192.0.2.1:7");
  // The nearest proxy's word counts: the others may be a client's invention.
  CHECK(client("for=192.0.2.43, for=198.51.100.17") == "198.51.100.17:0");
  CHECK(client("for=192.0.2.43,\tfor=198.51.100.17 ") == "198.51.100.17:0");
  CHECK(client("for=192.0.2.43, by=198.51.100.17") == "none");
}

TEST_CASE("forwarded: what names no address, or is not of the form") {
  for (const char* one : {"",
                          " ",
                          ",",
                          ";",
                          "for",
                          "for=",
                          "for=unknown",
                          "for=_hidden",
                          R"(for="unknown:4711")",
                          R"(for="192.0.2.1:4711)",
                          R"(for=")",
                          R"(for="\)",
                          "for=[2001:db8::1]",
                          R"(for="2001:db8::1")",
                          R"(for="[2001:db8::1")",
                          R"(for="[192.0.2.1]:4711")",
                          R"(for="192.0.2.1:")",
                          R"(for="192.0.2.1:99999")",
                          R"(for="127.1:7")",
                          R"(for="0x7f000001:7")",
                          "=192.0.2.1",
                          "for = 192.0.2.1",
                          "for=192.0.2.1 x",
                          "for=192.0.2.1;for=192.0.2.2",
                          R"(for="[]:7")",
                          R"(for="[")",
                          R"(for=":")"}) {
    CAPTURE(one);
    CHECK(client(one) == "none");
  }
}

TEST_CASE("forwarded: one that is too long for any chain of proxies costs nothing") {
  const std::string client = "for=192.0.2.1";
  CHECK(forwarded_client(std::string(1024 - client.size(), ' ') + client));
  CHECK_FALSE(forwarded_client(std::string(1025 - client.size(), ' ') + client));
}

TEST_CASE("secrets are the same, or they are not") {
  CHECK(tls::is_same_secret("se-cret", "se-cret"));
  CHECK_FALSE(tls::is_same_secret("se-cret", "se-creT"));
  CHECK_FALSE(tls::is_same_secret("se-cret", "Se-cret"));
  CHECK_FALSE(tls::is_same_secret("se-cret", "se-cre"));
  CHECK_FALSE(tls::is_same_secret("se-cret", ""));
  CHECK_FALSE(tls::is_same_secret("", "se-cret"));
}

TEST_CASE("a dial that fails is tried again later and later, up to a limit") {
  for (std::uint32_t seed = 1; seed < 100; ++seed) {
    tunnel::Backoff back_off(seed);
    net::Instant longest = tunnel::Backoff::first_ms;
    for (std::uint32_t failure = 1; failure < 20; ++failure) {
      const net::Instant wait = back_off.failed();
      CHECK(wait >= longest / 2);
      CHECK(wait <= longest);
      CHECK(back_off.failures() == failure);
      longest = std::min(2 * longest, tunnel::Backoff::longest_ms);
    }
    back_off.succeeded();
    CHECK(back_off.failures() == 0);
    CHECK(back_off.failed() <= tunnel::Backoff::first_ms);
  }
}

}  // namespace finhold::tests
