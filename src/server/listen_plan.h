// Which listening sockets stay when the configuration changes, and for whom. Pure.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "base/address.h"
#include "config/config.h"

namespace finhold::server {

// Where a route or far end listens, as the configuration says it.
struct ListenPlace {
  std::string name;
  base::Address address;
  bool transparent = false;      // intercept = "tproxy": another kind of socket
  bool kept_by_systemd = false;  // its sockets are systemd's; their address may be another
  std::vector<base::Address> bound =
      {};  // where its sockets really are; nothing until they are open
};

// Of all that listens: routes, then far ends.
std::vector<ListenPlace> listen_places(const config::Config& config);

struct ListenStep {
  std::optional<std::size_t> from;  // whose sockets it takes over, of those that listen now
  // Nothing to take over: new sockets. They stand beside one of ours, which closes soon, at an
  // address that includes theirs, or the other way round.
  bool beside_ours = false;
};

// One step for each of `next`; the sockets that no step takes over are closed. A socket stays where
// address and kind are the same, whatever else changes, the name too. Of port 0 nobody knows the
// address beforehand, so there the name decides; and so it does where systemd has the sockets, of
// which no other host is asked for.
std::vector<ListenStep> plan_listening(const std::vector<ListenPlace>& now,
                                       const std::vector<ListenPlace>& next);

}  // namespace finhold::server
