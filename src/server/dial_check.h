// Finds out at start what would fail every session of a route or far end, or a tunnel.
#pragma once

#include "relay/route.h"
#include "tunnel/settings.h"

namespace finhold::server {

// Whether this process may dial as the route says: with its mark, from its source. Tried on a
// socket that goes nowhere, with the privileges that the sessions will have. False: an error line
// in the log names what is missing. A warning tells of clients that cannot be served.
bool can_dial(const relay::Route& route);

// The same for the connections of a tunnel.
bool can_dial(const tunnel::TunnelSettings& tunnel);

}  // namespace finhold::server
