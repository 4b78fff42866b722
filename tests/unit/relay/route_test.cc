#include "relay/route.h"

#include <doctest/doctest.h>

#include "relay/keepalive_options.h"

namespace finhold::tests {

namespace {

int patience_s(const net::KeepaliveOptions& options) {
  return options.idle_s + options.interval_s * options.probes;
}

}  // namespace

TEST_CASE("a nursed leg is probed more often, and given up no earlier") {
  relay::Route route;  // 30 s, 10 s, 6 probes: 90 s
  const net::KeepaliveOptions nursed = relay::nursing_options(route, base::Side::server);
  CHECK(nursed.idle_s == 5);
  CHECK(nursed.interval_s == 5);
  CHECK(patience_s(nursed) == 90);
}

TEST_CASE("nursing never makes probes rarer or fewer") {
  relay::Route route;
  route.keepalive = {std::chrono::seconds(1), std::chrono::seconds(1), 2};
  const net::KeepaliveOptions nursed = relay::nursing_options(route, base::Side::server);
  CHECK(nursed.idle_s == 1);
  CHECK(nursed.interval_s == 1);
  CHECK(nursed.probes == 2);
}

TEST_CASE("a nursed leg is asked for room about as often, and given up no earlier") {
  relay::Route route;
  const auto repeat = [&] {
    return relay::nursing_options(route, base::Side::server).longest_repeat_s;
  };
  CHECK(repeat() == 8);  // 0.2 + 0.4 + ... + 6.4 s, and ten times 8 s: 92.6 s
  CHECK(relay::keepalive_options(route, base::Side::server).longest_repeat_s == 0);
  route.keepalive = {std::chrono::seconds(1), std::chrono::seconds(1), 2};
  CHECK(repeat() == 1);
  route.fin.nurse_every = std::chrono::seconds(60);
  CHECK(repeat() == 1);
  route.keepalive.idle = std::chrono::hours(2);
  CHECK(repeat() == 120);  // the kernel's own
  route.keepalive.probing = false;
  CHECK(repeat() == 0);
}

TEST_CASE("keepalive off is off for every leg, nursed or redirected") {
  relay::Route route;
  route.keepalive.probing = false;
  for (const auto intercept : {relay::Intercept::none, relay::Intercept::redirect}) {
    route.intercept = intercept;
    for (const auto side : {base::Side::client, base::Side::server}) {
      CHECK_FALSE(relay::keepalive_options(route, side).probing);
      CHECK_FALSE(relay::nursing_options(route, side).probing);
    }
  }
  CHECK(route.keepalive.vanished_after() == std::chrono::seconds(90));  // of unanswered bytes
}

TEST_CASE("a client is let in by allow, unless it is in deny") {
  const auto network = [](const char* text) { return base::Network::parse(text).value(); };
  const auto lets_in = [](const relay::Route& route, const char* client) {
    return relay::lets_in(route, base::Address::parse(client).value());
  };
  relay::Route route;
  CHECK(lets_in(route, "10.0.0.1:1"));
  route.deny = {network("10.6.0.0/16")};
  CHECK(lets_in(route, "10.0.0.1:1"));
  CHECK_FALSE(lets_in(route, "10.6.0.1:1"));
  CHECK_FALSE(lets_in(route, "[::ffff:10.6.0.1]:1"));
  route.allow = {network("10.0.0.0/8"), network("2001:db8::/32")};
  CHECK(lets_in(route, "10.0.0.1:1"));
  CHECK(lets_in(route, "[2001:db8::1]:1"));
  CHECK_FALSE(lets_in(route, "10.6.0.1:1"));
  CHECK_FALSE(lets_in(route, "192.0.2.7:1"));
  CHECK_FALSE(lets_in(route, "[2001:db9::1]:1"));
}

TEST_CASE("the kernel takes no more than 127 probes") {
  relay::Route route;
  route.keepalive.idle = std::chrono::seconds(3600);
  route.fin.nurse_every = std::chrono::seconds(1);
  CHECK(relay::nursing_options(route, base::Side::server).probes == 127);
}

TEST_CASE("a redirected client leg hears a keepalive every 15 s, whatever is configured") {
  relay::Route route;
  route.intercept = relay::Intercept::redirect;
  route.keepalive = {std::chrono::hours(2), std::chrono::seconds(75), 9};
  route.fin.nurse_every = std::chrono::hours(1);
  for (const auto& options : {relay::keepalive_options(route, base::Side::client),
                              relay::nursing_options(route, base::Side::client)}) {
    CHECK(options.idle_s == 15);
    CHECK(options.longest_repeat_s == 120);  // or it would be given up too soon
    CHECK(options.interval_s == 15);
    CHECK(options.probes == 127);
  }
  CHECK(relay::keepalive_options(route, base::Side::server).idle_s == 7200);

  route.keepalive = {};  // 30 s, 10 s, 6 probes
  const net::KeepaliveOptions usual = relay::keepalive_options(route, base::Side::client);
  CHECK(usual.idle_s == 15);
  CHECK(patience_s(usual) >= 90);

  route.keepalive.idle = std::chrono::seconds(4);
  CHECK(relay::keepalive_options(route, base::Side::client).idle_s == 4);
}

TEST_CASE("only redirection passes conntrack: other client legs have their own keepalive") {
  relay::Route route;
  for (const auto intercept : {relay::Intercept::none, relay::Intercept::tproxy}) {
    route.intercept = intercept;
    CHECK(relay::keepalive_options(route, base::Side::client).idle_s == 30);
  }
}

}  // namespace finhold::tests
