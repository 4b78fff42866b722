// The listening sockets of one route: its own, or those that systemd keeps for it.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "app/passed_sockets.h"
#include "net/descriptor.h"
#include "relay/route.h"

namespace finhold::app {

// One socket for each worker in turn, as often as there are `passed` sockets; if there are none,
// one of their own. Nothing, and a line in the log with the reason and what to do, if one cannot be
// had. On the main thread.
std::optional<std::vector<net::Descriptor>> listen(const relay::Route& route,
                                                   std::vector<PassedSocket> passed,
                                                   std::uint32_t workers);

}  // namespace finhold::app
