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

int in_seconds(base::Milliseconds time) { return static_cast<int>(time.count() / 1000); }

net::KeepaliveOptions in_seconds(const Keepalive& keepalive) {
  return {.idle_s = in_seconds(keepalive.idle),
          .interval_s = in_seconds(keepalive.interval),
          .probes = keepalive.probes,
          .probing = keepalive.probing};
}

// When the kernel gives up what is not acknowledged, if it repeats it at most so long after the
// last time: after net.ipv4.tcp_retries2 (15) times, each twice as long as the one before, from 200
// ms on (tcp_model_timeout()).
base::Milliseconds given_up_after(base::Milliseconds longest) {
  constexpr int repeats = 15;
  base::Milliseconds repeat(200);
  base::Milliseconds all = repeat;
  for (int i = 0; i < repeats; ++i) {
    repeat = std::min(2 * repeat, longest);
    all += repeat;
  }
  return all;
}

// About as often as keepalives, but so that a side is not given up before it counts as vanished.
int longest_repeat(const Keepalive& usual, base::Milliseconds every) {
  constexpr base::Milliseconds longest = std::chrono::seconds(120);  // of the kernel
  if (!usual.probing) return 0;
  base::Milliseconds repeat =
      std::clamp<base::Milliseconds>(every, std::chrono::seconds(1), longest);
  while (repeat < longest && given_up_after(repeat) < usual.vanished_after()) {
    repeat += std::chrono::seconds(1);
  }
  return in_seconds(std::min(repeat, longest));
}

}  // namespace

net::KeepaliveOptions keepalive_options(const Route& route, base::Side side) {
  const Keepalive usual = usual_keepalive(route, side);
  net::KeepaliveOptions options = in_seconds(usual);
  if (usual != route.keepalive) options.longest_repeat_s = longest_repeat(usual, usual.idle);
  return options;
}

net::KeepaliveOptions nursing_options(const Route& route, base::Side side) {
  const Keepalive usual = usual_keepalive(route, side);
  const Keepalive nursing = more_often(usual, route.fin.nurse_every);
  net::KeepaliveOptions options = in_seconds(nursing);
  options.longest_repeat_s = longest_repeat(usual, nursing.idle);
  return options;
}

}  // namespace finhold::relay
