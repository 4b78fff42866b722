// One [[route]], [[tunnel]] or [[far]] of a configuration file, while the file is read: each fills
// the members that it is about.
#pragma once

#include <optional>
#include <string>

#include "base/duration.h"
#include "relay/route.h"
#include "tls/settings.h"
#include "tunnel/settings.h"

namespace finhold::config {

struct Section {
  relay::Route route;             // [[route]]; [[far]]: what its sessions have of one
  std::string tunnel_name;        // [[route]]; empty: it needs none
  tunnel::TunnelSettings tunnel;  // [[tunnel]], without its tls
  tunnel::FarSettings far;        // [[far]], without its tls and its route
  tls::ClientSettings near_tls;
  tls::ServerSettings far_tls;
  // [[route]], [[far]]; nothing: as [limits] has it.
  std::optional<base::Limit> idle;
  std::optional<base::Limit> closing;
  bool tls_off = false;        // [[tunnel]], [[far]]: tls = "off"
  bool keepalive_off = false;  // [[route]], [[far]]: keepalive = "off"
};

}  // namespace finhold::config
