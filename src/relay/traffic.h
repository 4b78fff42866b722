// Which connections the rules of the kernel divert to a route, or leave alone.
#pragma once

#include <cstdint>
#include <optional>

#include "base/network.h"

namespace finhold::relay {

// One item of a route's `catch` or `spare`: connections to a destination, or those of a user.
struct Traffic {
  std::optional<base::Network> network;  // nothing: any destination
  std::uint16_t first_port = 1;
  std::uint16_t last_port = 65'535;
  std::optional<std::uint32_t> user;  // uid; then network and ports say nothing

  [[nodiscard]] bool every_port() const { return first_port == 1 && last_port == 65'535; }

  friend bool operator==(const Traffic&, const Traffic&) = default;
};

}  // namespace finhold::relay
