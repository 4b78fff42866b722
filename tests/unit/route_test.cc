#include "relay/route.h"

#include <doctest/doctest.h>

#include "relay/session_table.h"

namespace finhold::tests {

namespace {

int patience_s(const net::KeepaliveOptions& options) {
  return options.idle_s + options.interval_s * options.probes;
}

}  // namespace

TEST_CASE("a nursed leg is probed more often, and given up no earlier") {
  relay::Route route;  // 30 s, 10 s, 6 probes: 90 s
  const net::KeepaliveOptions nursed = relay::nursing_options(route);
  CHECK(nursed.idle_s == 5);
  CHECK(nursed.interval_s == 5);
  CHECK(patience_s(nursed) == 90);
}

TEST_CASE("nursing never makes probes rarer or fewer") {
  relay::Route route;
  route.keepalive = {std::chrono::seconds(1), std::chrono::seconds(1), 2};
  const net::KeepaliveOptions nursed = relay::nursing_options(route);
  CHECK(nursed.idle_s == 1);
  CHECK(nursed.interval_s == 1);
  CHECK(nursed.probes == 2);
}

TEST_CASE("the kernel takes no more than 127 probes") {
  relay::Route route;
  route.keepalive.idle = std::chrono::seconds(3600);
  route.fin.nurse_every = std::chrono::seconds(1);
  CHECK(relay::nursing_options(route).probes == 127);
}

}  // namespace finhold::tests
