// What a route that intercepts does otherwise than one with a server of its own.
#pragma once

#include "base/address.h"
#include "base/result.h"
#include "net/dialer.h"
#include "relay/route.h"

namespace finhold::relay {

// Where an accepted client was going, as the kernel knows. ELOOP: to our listener; no rule diverted
// it. Another error: nobody can tell. Requires a route that intercepts.
base::Result<base::Address> intended_server(const Route& route, int client);

// How the server of a session of that client is dialed.
net::DialOptions dial_options(const Route& route, const base::Address& client);

}  // namespace finhold::relay
