// What of a configuration asks for rules of the kernel, which divert connections to finhold.
#pragma once

#include <cstdint>

#include "base/address.h"
#include "config/config.h"
#include "relay/route.h"

namespace finhold::config {

// One bit of the mark of what tproxy diverts, set and looked at under a mask, so that marks of
// others keep all their bits. Not in those of Kubernetes (0x4000, 0x8000), Calico's usual ones
// (0x000f0000), Tailscale (0x00ff0000), Istio (0x539), Cilium (0x0f00) and wg-quick (0xca6c).
inline constexpr std::uint32_t divert_mark = 0x1000'0000;

inline constexpr const char* link_local = "fe80::/10";  // RFC 4291 section 2.5.6; never caught

// Whether rules are made for the route: it intercepts, and says what to catch.
bool wants_rules(const relay::Route& route);
bool any_wants_rules(const Config& config);

// Whether they are, and both legs of its sessions have the same addresses and ports.
bool comes_as_client(const relay::Route& route);

// Which families the listener of a route is reached by: "[::]" is both.
struct Families {
  bool v4 = false;
  bool v6 = false;
};
Families families_of(const base::Address& listen);

}  // namespace finhold::config
