// What the two ends of a pair are to do: [[tunnel]] and [[far]] of the configuration, as values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/duration.h"
#include "relay/route.h"
#include "tls/settings.h"
#include "tunnel/allow_list.h"

namespace finhold::tunnel {

// How a connection of a pair is known to be alive, at either end.
struct Liveness {
  base::Milliseconds ping_every = std::chrono::seconds(15);    // without anything received
  base::Milliseconds ping_timeout = std::chrono::seconds(10);  // then it is lost

  friend bool operator==(const Liveness&, const Liveness&) = default;
};

// [[tunnel]]: the near end.
struct TunnelSettings {
  std::string name;
  base::HostPort far;
  std::optional<tls::ClientSettings> tls;  // nothing: tls = "off". server_name is never empty
  std::string token;                       // Proxy-Authorization: Bearer; empty: none. A secret
  base::Milliseconds connect_timeout = std::chrono::seconds(10);  // name, TCP, TLS and SETTINGS
  Liveness life;
  std::uint32_t connections = 1;               // with room for a session, kept open by each worker
  std::uint32_t streams_per_connection = 100;  // 1 to 1000
  bool optimistic_data = true;                 // bytes follow the request before its answer
  std::uint32_t mark = 0;                      // SO_MARK, so that rules spare it; 0: none

  friend bool operator==(const TunnelSettings&, const TunnelSettings&) = default;
};

// What becomes of sessions that a far end would not open any more, after a reload.
enum class Revoked : std::uint8_t {
  drain,  // they go on
  cut,    // they are reset
};

// [[far]]: the far end.
struct FarSettings {
  relay::Route route;  // of its sessions: name, listen, connect_timeout, keepalive, send_proxy;
                       // crosses nothing, has no server of its own
  std::optional<tls::ServerSettings> tls;  // nothing: tls = "off"
  std::string token;                       // that a near end must have; empty: none. A secret
  std::vector<AllowEntry> allow;
  Revoked revoked = Revoked::drain;
  Liveness life;
  std::uint32_t connections = 1000;             // of near ends, in each worker
  std::uint32_t streams_per_connection = 1000;  // 1 to 1000

  friend bool operator==(const FarSettings&, const FarSettings&) = default;
};

}  // namespace finhold::tunnel
