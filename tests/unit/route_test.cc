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
