// The keepalive times of a route's legs, in the kernel's units.
#pragma once

#include "base/side.h"
#include "net/socket.h"
#include "relay/route.h"

namespace finhold::relay {

// As configured, where that is "off" for nursing too; but the client leg of a route that redirects
// hears one at least every 15 s. The kernel's own conntrack sits in that leg, however local it is,
// and forgets one that is half-closed and silent (after 60 s,
// net.netfilter.nf_conntrack_tcp_timeout_close_wait): the answer would be reset (Istio's issue
// 43297). Any packet restarts that timer, and the accepted sockets inherit the listener's
// keepalive, so it costs no system call. (2026-11-22; tests/lab/test_sidecar_conntrack.py.)
net::KeepaliveOptions keepalive_options(const Route& route, base::Side side);

// For a half-closed crossing leg: more often, and as patient. While a reader's window is full the
// kernel sends no keepalive, and asks for room at intervals that double up to 120 s, longer than
// most boxes remember: those are bounded, too. (2026-11-28; tests/lab/test_nursing.py.)
net::KeepaliveOptions nursing_options(const Route& route, base::Side side);

}  // namespace finhold::relay
