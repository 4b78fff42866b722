// What a route that intercepts does otherwise than one with a server of its own.
#pragma once

#include <cerrno>

#include "base/address.h"
#include "base/error.h"
#include "base/result.h"
#include "net/dialer.h"
#include "relay/own_dials.h"
#include "relay/route.h"

namespace finhold::relay {

// Why there is no such server: these, or an error of the kernel that says what it cannot tell.
constexpr base::Error to_the_listener{ELOOP, "accept"};       // no rule diverted it
constexpr base::Error from_finhold_itself{ELOOP, "connect"};  // a rule diverted one of ours

// Where an accepted client was going, as the kernel knows. Requires a route that intercepts.
base::Result<base::Address> intended_server(const Route& route, int client,
                                            const base::Address& address, const OwnDials& ours);

// How the server of a session of that client is dialed.
net::DialOptions dial_options(const Route& route, const base::Address& client);

}  // namespace finhold::relay
