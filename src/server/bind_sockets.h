// The listening sockets of one route or far end: its own, or those that systemd keeps for it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "net/descriptor.h"
#include "relay/route.h"
#include "server/socket_activation.h"

namespace finhold::server {

// Who listens, for the log.
struct Listens {
  const relay::Route& route;
  bool is_far = false;
  std::string tunnel = {};  // of a route; empty: it has none
  // At a reload: privileges were given up.
  bool later = false;
  // There may already be a listener of this process that its address overlaps with.
  bool beside_ours = false;
};

// One socket for each worker in turn, as often as there are `passed` sockets; if there are none,
// one of their own, which does not listen yet. Nothing, and a line in the log with the reason and
// what to do, if one cannot be had. On the main thread.
std::optional<std::vector<net::Descriptor>> open_sockets(const Listens& who,
                                                         std::vector<PassedSocket> passed,
                                                         std::uint32_t workers);

// Where one of them is bound; nothing, and a line in the log, if the kernel does not say.
std::optional<base::Address> address_of(const Listens& who, int socket);

// Own sockets of open_sockets() listen from now on. False, and a line in the log: not all do.
bool begin_listening(const Listens& who, const std::vector<int>& sockets);

// That of [admin]; nothing, and a line in the log, if it cannot be had. On the main thread.
std::optional<net::Descriptor> listen_admin(const base::Address& address);

}  // namespace finhold::server
