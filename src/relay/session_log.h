// What a session says of itself: one info line when it is over, with fixed fields (a contract that
// tests and log readers rely on).
#pragma once

#include <cstdint>
#include <string>

#include "base/error.h"
#include "core/ending.h"

namespace finhold::relay {

struct Route;
class Session;

// Where the session goes, as far as is known: the address that is reached, or the route's server.
std::string server_text(const Session& session);

// session=4711 route=orders client=127.0.0.1:40112 server=10.0.0.5:7000 ending=finished
// first_fin=client held=118.2s released=server-ended gone=none to_server=104857600 to_client=512
// duration=121.0s
//
// first_fin: client, server or none. held: how long its FIN was held. released: why it was sent on
// (core::Release), never if it was not. gone: by what finhold learned that a side which had ended
// was gone (core::Gone), none if it did not. to_server, to_client: bytes that the other end's
// kernel, or the other end of the tunnel, has got; what is still on its way when a leg closes in
// order counts. taken_to_server, taken_to_client, only where bytes were lost: all that the flow's
// source gave.
// Only where the first end was held, and release_when_quiet is "auto" for it, at the end:
// end_needs, what was known of who was to get it (unknown, waits, talks-on), and quiet, for how
// long nothing was to come the other way. Only on routes with accept_proxy, at the end: proxy, the
// address that really connected; client is the announced one, or the same. Only where clients come
// by a tunnel, at the end: near, the address of the near end, which says who client is.
void log_ending(const Session& session);

// A warning that names the server and what was wrong with it. `left_out`, here and below: how many
// such lines were not written since the last (LogRateLimit).
void log_dial_failure(const Session& session, base::Error error, bool unresolved,
                      std::uint64_t left_out);

// A warning that a client came to the listener itself, which waits for diverted ones only.
void log_not_intercepted(const Session& session, base::Error error, std::uint64_t left_out);

// Warnings about who connects to a route with accept_proxy: it is not one of `trusted`, or what it
// sent is no header of the PROXY protocol.
void log_untrusted(const Session& session, std::uint64_t left_out);
void log_bad_header(const Session& session, const char* why, std::uint64_t left_out);

// A warning that the session's client is not served: client_denied, client_limit or client_rate.
void log_refused_client(const Session& session, core::Ending why, std::uint64_t left_out);
// A warning that a FIN has been held for long while bytes came the other way.
void log_long_hold(const Session& session, std::uint64_t left_out);
// A warning that of that server one session after another is lost behind an end that went early.
void log_lost_behind_ends(const Session& session);
// A warning that there is no memory for a session, whose client is reset.
void log_no_memory(const Route& route, std::uint64_t left_out);

}  // namespace finhold::relay
