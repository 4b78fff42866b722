// What a session is to do: where its server is, and how its legs are to be treated.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/duration.h"
#include "base/network.h"
#include "core/fin_settings.h"
#include "relay/traffic.h"

namespace finhold::relay {

// Whether bytes go through a pipe instead of through our memory.
enum class Splicing : std::uint8_t {
  automatic,  // where a flow has many at a time
  never,
  always,  // to test it
};

// TCP keepalive, on both legs. A leg whose other end has not answered for
// idle + interval * probes has vanished, also while sent bytes wait for their acknowledgement.
struct Keepalive {
  base::Milliseconds idle = std::chrono::seconds(30);      // whole seconds, 1 s to 32767 s
  base::Milliseconds interval = std::chrono::seconds(10);  // whole seconds, 1 s to 32767 s
  int probes = 6;                                          // 1 to 127
  // false: no probe is ever sent, and a side that says nothing is never found to have vanished.
  // Sent bytes still wait no longer than that for their acknowledgement.
  bool probing = true;

  [[nodiscard]] base::Milliseconds vanished_after() const { return idle + interval * probes; }

  friend bool operator==(const Keepalive&, const Keepalive&) = default;
};

// How connections come to the listener: the clients name it (none), or rules of the kernel divert
// connections that were meant for a server. Then the server is where the client was going.
enum class Intercept : std::uint8_t {
  none,
  redirect,  // nft "redirect" (DNAT), in finhold's own network namespace: a sidecar
  tproxy,    // nft "tproxy": a gateway
};

// Where the connections to the server come from.
struct Source {
  enum class Kind : std::uint8_t {
    self,    // what the kernel chooses
    client,  // the client's own address and port; needs tproxy
    address,
  };
  Kind kind = Kind::self;
  base::Address address;  // of Kind::address; its port is 0: the kernel chooses one

  friend bool operator==(const Source&, const Source&) = default;
};

// The header of the PROXY protocol (net/proxy_protocol.h) that goes ahead of a session's bytes.
enum class ProxyHeader : std::uint8_t { none, v1, v2 };

// What one client may have of a route, in the whole process. 0: no limit.
struct ClientLimits {
  std::uint32_t sessions = 0;             // open at once
  std::uint32_t connects_per_second = 0;  // burst_seconds' worth at once
  // As one client counts an IPv4 address, and an IPv6 network of that length: whoever has one
  // address of a /64 has them all.
  std::uint8_t prefix_v6 = 64;

  static constexpr std::uint64_t burst_seconds = 10;

  friend bool operator==(const ClientLimits&, const ClientLimits&) = default;
};

// One [[route]] of the configuration. Immutable once a worker has it; outlives its sessions.
struct Route {
  std::string name;
  base::Address listen;
  Intercept intercept = Intercept::none;
  base::HostPort server;  // nothing in it if the route intercepts
  int tunnel =
      -1;  // an index into the configuration's tunnels; -1: finhold dials the server itself
  Source source;
  std::uint32_t mark = 0x1f1;  // SO_MARK of the connections to the server, if it redirects; 0: none
  // The same for a route that does not: rules would catch its connections, or confuse its legs.
  bool always_marks = false;
  base::Milliseconds connect_timeout = std::chrono::seconds(10);  // for all addresses together
  Keepalive keepalive;
  core::FinSettings fin;
  ProxyHeader send_proxy = ProxyHeader::none;  // to the server
  bool accept_proxy = false;                   // each client sends a header first
  std::vector<base::Network> trusted;          // those who may; not empty if accept_proxy
  // By the client's address, or the one that its proxy has announced. Empty: all of them.
  std::vector<base::Network> allow;
  std::vector<base::Network> deny;  // also of those
  // In the whole process; 0: no limit of its own.
  std::uint32_t sessions = 0;  // open at once; more clients wait to be accepted
  ClientLimits each_client;
  // For the rules of the kernel only; a session does not look at them.
  std::vector<Traffic> caught;  // by the first route that names it
  std::vector<Traffic> spare;   // of what is caught

  // Of the connections to the server; 0: none.
  [[nodiscard]] std::uint32_t own_mark() const {
    return intercept == Intercept::redirect || always_marks ? mark : 0;
  }

  friend bool operator==(const Route&, const Route&) = default;
};

// Whether that client may connect, by the route's allow and deny.
bool lets_in(const Route& route, const base::Address& client);

}  // namespace finhold::relay
