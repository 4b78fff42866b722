#include "relay/keepalive_options.h"

#include <algorithm>

namespace finhold::relay {
namespace {

constexpr base::Milliseconds redirected_every = std::chrono::seconds(15);

// With more probes, so that a leg is given up no earlier (the kernel takes up to 127).
Keepalive more_often(const Keepalive& usual, base::Milliseconds every) {
  const auto idle = std::min(every, usual.idle);
  const auto interval = std::min(every, usual.interval);
  const auto rest = usual.vanished_after() - idle;
  const auto probes = (rest + interval - base::Milliseconds(1)) / interval;
  return {idle, interval, static_cast<int>(std::clamp<std::int64_t>(probes, usual.probes, 127)),
          usual.probing};
}

Keepalive usual_keepalive(const Route& route, base::Side side) {
  const bool redirected = route.intercept == Intercept::redirect && side == base::Side::client;
  return redirected && route.keepalive.idle > redirected_every
             ? more_often(route.keepalive, redirected_every)
             : route.keepalive;
}

net::KeepaliveOptions in_seconds(const Keepalive& keepalive) {
  return {static_cast<int>(keepalive.idle.count() / 1000),
          static_cast<int>(keepalive.interval.count() / 1000), keepalive.probes, keepalive.probing};
}

}  // namespace

net::KeepaliveOptions keepalive_options(const Route& route, base::Side side) {
  return in_seconds(usual_keepalive(route, side));
}

net::KeepaliveOptions nursing_options(const Route& route, base::Side side) {
  return in_seconds(more_often(usual_keepalive(route, side), route.fin.nurse_every));
}

}  // namespace finhold::relay
