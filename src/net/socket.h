// TCP sockets: what finhold asks of the kernel, each call once, with its reason.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "base/address.h"
#include "base/duration.h"
#include "base/error.h"
#include "base/result.h"
#include "net/descriptor.h"

namespace finhold::net {

struct KeepaliveOptions {
  int idle_s = 30;
  int interval_s = 10;
  int probes = 6;
  bool probing = true;  // false: never, whatever the times are
  // The longest time between two repetitions of what is not acknowledged, or between two questions
  // for room in a full window, during which the kernel sends no keepalive; 0: up to 120 s, as it is
  // otherwise. Where the kernel has no TCP_RTO_MAX_MS (before Linux 6.15) it stays so.
  int longest_repeat_s = 0;
};

// Options that every leg has from its first moment. A listener is given them, since an accepted
// socket inherits them all from it (seen on Linux 6.18), which saves eight system calls a
// connection:
// - SO_LINGER {1, 0}: if finhold dies, the kernel aborts the connection by RST. A session that was
//   cut is never taken for one that ended (DESIGN.md R4). Disarmed for an orderly close.
// - TCP_NODELAY: a relay must not wait for more bytes; the application has decided already.
// - SO_KEEPALIVE, unless it is not to probe, and its three times.
// - SO_OOBINLINE: an urgent byte is read at its place in the stream, so that it is never lost, also
//   where it is not recognised as urgent (relay/tcp_leg.h).
// Not TCP_USER_TIMEOUT: it also kills a connection whose reader is alive but paused (zero window;
// ETIMEDOUT after 2.3 s with a limit of 2 s on Linux 6.18), and finhold must not lose the last byte
// of a slow reader. TcpLeg::check_answers does what it is wanted for. Nor on a tunnel's connection,
// whose end always reads: the kernel counts from the first repetition of a recovery, however much
// is acknowledged since. (2026-11-22; tests/integration/closing/test_vanished.py.)
base::Error set_leg_options(int fd, const KeepaliveOptions& keepalive);

// Keepalive times alone, for a leg that is to be nursed. Errors are ignored: it is a connected TCP
// socket, and the values were checked by the configuration.
void set_keepalive(int fd, const KeepaliveOptions& keepalive);

// Undoes KeepaliveOptions::longest_repeat_s, before a socket is closed with bytes or a FIN that its
// reader has no room for. The kernel gives an orphan up when it has asked eight times and asks as
// rarely as it may: after 22 s with 8 s, and without after more than 4 minutes, in which a direct
// connection's reader may pause too. (2026-11-28, Linux 6.18, tcp_probe_timer();
// tests/integration/closing/test_keepalive.py.)
void repeat_as_usual(int fd);

// close() sends what is left and a FIN, instead of a RST.
void disarm_linger(int fd);
// The opposite, as before.
void arm_linger(int fd);

// How many bytes a socket takes that the other end's window has no room for yet. Errors are
// ignored: it is slower or later then, not wrong.
void set_most_unsent(int fd, std::size_t bytes);

// A bound, non-blocking socket with leg options, to which nobody can connect yet. `first`: it must
// be the only one on this address, also against another finhold, so that a second instance gets
// EADDRINUSE instead of a share of the connections; the others of this process (one a worker) join
// it afterwards. `transparent`: it accepts connections that "tproxy" rules divert, in the name of
// their servers.
base::Result<Descriptor> bind_tcp(const base::Address& address, bool first,
                                  const KeepaliveOptions& keepalive, bool transparent = false);

// code 0: that socket listens from now on.
base::Error begin_listening(int fd);

// Both in one.
base::Result<Descriptor> listen_tcp(const base::Address& address, bool first,
                                    const KeepaliveOptions& keepalive, bool transparent = false);

// Whether a descriptor is a listening TCP socket.
bool is_tcp_listener(int fd);

// Makes a listening socket that somebody else has bound like one of listen_tcp(). Whoever keeps it
// open too must not accept from it. code 0: done. One that is transparent already needs no
// capability for that.
base::Error adopt_listener(int fd, const KeepaliveOptions& keepalive, bool transparent);

// Whether an address is one of this machine's, not counting its port; all of 127.0.0.0/8 is.
bool is_own_address(const base::Address& address);

// Where a socket is bound. Requires a bound socket; of an IPv4 or IPv6 one it fails only if a
// security module or a filter of system calls forbids the question.
base::Result<base::Address> local_address(int fd);

// Where the other end is; nothing if the socket is not connected (any more).
std::optional<base::Address> remote_address(int fd);

// Whether a dialing socket has finished its handshake.
bool is_connected(int fd);

// A non-blocking socket with leg options for dialing.
base::Result<Descriptor> dialing_socket(int family, const KeepaliveOptions& keepalive);

// The error that the kernel keeps for a socket, which this call clears; 0 if none.
int take_socket_error(int fd);

// Whether the connection is over, at both ends or by a failure (TCP_INFO). One system call.
bool is_closed(int fd);

// Bytes that wait to be received.
int unread_bytes(int fd);

// What a socket has to give at this moment; the poller may tell of it later. One system call.
struct Waiting {
  bool anything = false;  // bytes, an end or an error
  bool urgent = false;    // an urgent byte, perhaps with others before it
};
Waiting waiting(int fd);

// Whether the next byte to be received is the urgent one (RFC 9293 section 3.8.5; Linux takes the
// last byte of a send() with MSG_OOB for it, RFC 6093 section 3.1). One system call.
bool at_urgent_mark(int fd);

// Whether this machine has an address to speak to that one from.
bool has_source_address(const base::Address& address);

// Bytes that were accepted by send() and not yet sent, because the other end's window is full.
// Bytes in flight do not count.
int unsent_bytes(int fd);

// Bytes that were accepted by send() and not yet acknowledged by the other end. A FIN that was sent
// counts as one (seen on Linux 6.18). A connection that has failed keeps its last number.
int unacknowledged_bytes(int fd);

// What the kernel knows about bytes that were sent and not acknowledged.
struct Answers {
  bool outstanding = false;          // sent or unsent bytes wait for the other end
  bool repeating = false;            // the kernel has repeated itself, and had no answer to that
  std::uint32_t last_answer_ms = 0;  // since the last ACK
};
Answers answers(int fd);

// How long an answer of the other end takes (TCP_INFO, RFC 6298), rounded up; 0: not known.
base::Milliseconds round_trip(int fd);
// The shortest of the last minutes (net.ipv4.tcp_min_rtt_wlen), rounded down; 0: not known.
base::Milliseconds least_round_trip(int fd);

// Whether the kernel has probed the other end (keepalive, or a full window) and got no
// acknowledgement: if a RST came, it was the answer to that. Seen on Linux 6.18: after a RST that
// answers a probe tcpi_probes is 1; after one that comes by itself, also between answered probes,
// or that answers bytes, it is 0.
bool probe_unanswered(int fd);

}  // namespace finhold::net
