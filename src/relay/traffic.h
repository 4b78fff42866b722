// Which connections the rules of the kernel divert to a route, or leave alone.
#pragma once

#include <cstdint>
#include <optional>

#include "base/network.h"
#include "base/port_range.h"

namespace finhold::relay {

// One item of a route's `catch` or `spare`: connections to a destination, or those of a user.
struct Traffic {
  std::optional<base::Network> network;  // nothing: any destination
  base::PortRange ports;
  std::optional<std::uint32_t> user;  // uid; then network and ports say nothing

  friend bool operator==(const Traffic&, const Traffic&) = default;
};

}  // namespace finhold::relay
