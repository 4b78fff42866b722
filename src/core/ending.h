// How a session came to its end: the `ending` of its log line, and one metric label.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "base/error.h"
#include "base/side.h"
#include "core/fin_policy.h"

namespace finhold::core {

enum class Ending : std::uint8_t {
  finished,            // both flows ended and were delivered
  client_reset,        // RST from the client
  server_reset,        // RST from the server
  client_vanished,     // no answer to keepalives or to sent bytes, or no route any more
  server_vanished,     //
  server_refused,      // the dial: RST in answer to SYN
  server_unreachable,  // the dial: no route, or an ICMP error
  server_timeout,      // the dial: connect_timeout passed
  server_unresolved,   // the dial: the name has no address
  half_closed_idle,    // R6's limits
  half_closed_total,   //
  closing,             // both flows had ended, and a reader took nothing more
  idle,                // nothing moved either way
  drain_limit,         // finhold was told to stop, and limits.drain passed
  not_intercepted,   // the client came to a listener for diverted connections, and was not diverted
  untrusted_proxy,   // accept_proxy: the other end is not one that may send a header
  bad_proxy_header,  // accept_proxy: its header was wrong, or did not come
  client_denied,     // its address is not one that may connect, by the route's allow and deny
  client_limit,      // it had sessions_per_client sessions already
  client_rate,       // it connects more often than connects_per_second
  not_allowed,       // the far end of the tunnel may not open that server, or not for this near end
  far_busy,          // the far end had no room for another session
  tunnel_lost,       // the tunnel's connection was lost, and with it its sessions
  no_tunnel,         // no connection to the far end could be had within connect_timeout
  local_error,       // finhold's own machine failed it: no descriptors, no memory
};

// How many there are, for tables by ending.
constexpr std::size_t ending_count = static_cast<std::size_t>(Ending::local_error) + 1;

// By what finhold learned that the other end of a leg whose flow had ended was gone, and not merely
// half-closed: the first evidence.
enum class Gone : std::uint8_t {
  none,          // by nothing: it was not, as far as anybody can tell
  local_closed,  // the kernel says so of a socket on this machine
  keepalive,     // it answered a probe by a RST, or nothing at all
  reset,         // it sent a RST by itself, or in answer to bytes
};

// "local-closed": the value in the log.
const char* name(Gone gone);

// "client-reset": the value in the log and the metric.
const char* name(Ending ending);

// The ending of a leg that failed with an errno: reset or vanished.
Ending ending_of_failed_leg(base::Side side, int code);

// The ending of a session that one of its limits (R6) ends; nothing if the event is no such limit.
std::optional<Ending> ending_of_limit(Event::Kind limit);

// The ending of a failed dial.
Ending ending_of_failed_dial(const base::Error& error);

}  // namespace finhold::core
