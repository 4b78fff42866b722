// What a session is to do: where its server is, and how its legs are to be treated.
#pragma once

#include <string>

#include "base/address.h"
#include "base/duration.h"
#include "core/fin_settings.h"

namespace finhold::relay {

// TCP keepalive, on both legs, always. A leg whose other end has not answered for
// idle + interval * probes has vanished, also while sent bytes wait for their acknowledgement.
struct Keepalive {
  base::Milliseconds idle = std::chrono::seconds(30);      // whole seconds, 1 s to 32767 s
  base::Milliseconds interval = std::chrono::seconds(10);  // whole seconds, 1 s to 32767 s
  int probes = 6;                                          // 1 to 127

  [[nodiscard]] base::Milliseconds vanished_after() const { return idle + interval * probes; }
};

// One [[route]] of the configuration. Immutable once a worker has it; outlives its sessions.
struct Route {
  std::string name;
  base::Address listen;
  base::HostPort server;
  base::Milliseconds connect_timeout = std::chrono::seconds(10);  // for all addresses together
  Keepalive keepalive;
  core::FinSettings fin;
};

}  // namespace finhold::relay
