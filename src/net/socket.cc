#include "net/socket.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

// struct tcp_info with all fields; <netinet/tcp.h> of glibc 2.36 ends before tcpi_notsent_bytes.
#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <linux/tcp.h>

#include "net/dial_source.h"

namespace finhold::net {
namespace {

constexpr int backlog = 4096;  // the kernel cuts it to net.core.somaxconn
// TCP_RTO_MAX_MS of Linux 6.15, which the headers of Debian 12 and 13 lack.
constexpr int rto_max_ms = 44;

template <typename Value>
bool set_option(int fd, int level, int name, const Value& value) {
  return setsockopt(fd, level, name, &value, sizeof value) == 0;
}

// -1: it has none.
int get_option(int fd, int level, int name) {
  int value = 0;
  socklen_t length = sizeof value;
  return getsockopt(fd, level, name, &value, &length) == 0 ? value : -1;
}

int queue_length(int fd, unsigned long request) {
  int bytes = 0;
  return ioctl(fd, request, &bytes) == 0 ? bytes : 0;
}

bool get_info(int fd, tcp_info& info) {
  socklen_t length = sizeof info;
  return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) == 0;
}

base::Error last_error(const char* operation) { return {errno, operation}; }

void set_longest_repeat(int fd, const KeepaliveOptions& keepalive) {
  if (keepalive.longest_repeat_s == 0) return;
  set_option(fd, IPPROTO_TCP, rto_max_ms, 1000 * keepalive.longest_repeat_s);
}

}  // namespace

base::Error set_leg_options(int fd, const KeepaliveOptions& keepalive) {
  const linger abort_on_close{1, 0};
  const bool set = set_option(fd, SOL_SOCKET, SO_LINGER, abort_on_close) &&
                   set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1) &&
                   set_option(fd, SOL_SOCKET, SO_KEEPALIVE, keepalive.probing ? 1 : 0) &&
                   set_option(fd, SOL_SOCKET, SO_OOBINLINE, 1) &&
                   set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, keepalive.idle_s) &&
                   set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, keepalive.interval_s) &&
                   set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, keepalive.probes);
  set_longest_repeat(fd, keepalive);
  return set ? base::Error{} : last_error("setsockopt");
}

void set_keepalive(int fd, const KeepaliveOptions& keepalive) {
  set_longest_repeat(fd, keepalive);
  set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, keepalive.interval_s);
  set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, keepalive.probes);
  // Last, since it restarts the timer. After an answered probe the next one comes after this time,
  // not after the interval.
  set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, keepalive.idle_s);
}

void repeat_as_usual(int fd) {
  constexpr int usual_s = 120;  // TCP_RTO_MAX
  set_longest_repeat(fd, {.longest_repeat_s = usual_s});
}

void disarm_linger(int fd) { set_option(fd, SOL_SOCKET, SO_LINGER, linger{0, 0}); }

void arm_linger(int fd) { set_option(fd, SOL_SOCKET, SO_LINGER, linger{1, 0}); }

void set_most_unsent(int fd, std::size_t bytes) {
  set_option(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, static_cast<int>(bytes));
}

base::Result<Descriptor> bind_tcp(const base::Address& address, bool first,
                                  const KeepaliveOptions& keepalive, bool transparent) {
  Descriptor fd(socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return last_error("socket");
  if (!set_option(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1)) return last_error("setsockopt");
  // "[::]" means both families, whatever net.ipv6.bindv6only says.
  if (address.family() == AF_INET6 && !set_option(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, 0)) {
    return last_error("setsockopt");
  }
  if (!first && !set_option(fd.get(), SOL_SOCKET, SO_REUSEPORT, 1)) return last_error("setsockopt");
  if (transparent) {
    const auto error = set_transparent(fd.get(), address.family());
    if (error.code != 0) return error;
  }
  if (bind(fd.get(), address.raw(), address.length()) != 0) return last_error("bind");
  // Only now: a bind() without SO_REUSEPORT fails beside any other listener, so that a second
  // instance on the port gets "address in use".
  if (first && !set_option(fd.get(), SOL_SOCKET, SO_REUSEPORT, 1)) return last_error("setsockopt");
  if (const auto error = set_leg_options(fd.get(), keepalive); error.code != 0) return error;
  return fd;
}

base::Error begin_listening(int fd) {
  return listen(fd, backlog) == 0 ? base::Error{} : last_error("listen");
}

base::Result<Descriptor> listen_tcp(const base::Address& address, bool first,
                                    const KeepaliveOptions& keepalive, bool transparent) {
  auto bound = bind_tcp(address, first, keepalive, transparent);
  if (!bound.ok()) return bound;
  const base::Error error = begin_listening(bound.value().get());
  if (error.code != 0) return error;
  return bound;
}

bool is_tcp_listener(int fd) {
  const int family = get_option(fd, SOL_SOCKET, SO_DOMAIN);
  return (family == AF_INET || family == AF_INET6) &&
         get_option(fd, SOL_SOCKET, SO_PROTOCOL) == IPPROTO_TCP &&
         get_option(fd, SOL_SOCKET, SO_ACCEPTCONN) == 1;
}

base::Error adopt_listener(int fd, const KeepaliveOptions& keepalive, bool transparent) {
  // Like its queue, this flag belongs to all who have the socket.
  if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) != 0) return last_error("fcntl");
  const int family = get_option(fd, SOL_SOCKET, SO_DOMAIN);
  const int is_transparent = family == AF_INET ? get_option(fd, SOL_IP, IP_TRANSPARENT)
                                               : get_option(fd, SOL_IPV6, IPV6_TRANSPARENT);
  if (transparent && is_transparent != 1) {
    if (const auto error = set_transparent(fd, family); error.code != 0) return error;
  }
  return set_leg_options(fd, keepalive);
}

base::Result<base::Address> local_address(int fd) {
  sockaddr_storage storage{};
  socklen_t length = sizeof storage;
  auto* raw = reinterpret_cast<sockaddr*>(&storage);
  if (getsockname(fd, raw, &length) != 0) return last_error("getsockname");
  return base::Address::from(raw);
}

// The kernel answers an own address from that address, and any other from its own; but 127.0.0.2
// from 127.0.0.1, since the whole network is one route. To bind to it would not tell where
// net.ipv4.ip_nonlocal_bind is set, as it often is on gateways.
bool is_own_address(const base::Address& address) {
  if (address.unmapped().text().starts_with("127.")) return true;
  const Descriptor probe(socket(address.family(), SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!probe.valid() || connect(probe.get(), address.raw(), address.length()) != 0) return false;
  const auto own = local_address(probe.get());
  return own.ok() && own.value().with_port(0) == address.with_port(0);
}

std::optional<base::Address> remote_address(int fd) {
  sockaddr_storage storage{};
  socklen_t length = sizeof storage;
  auto* raw = reinterpret_cast<sockaddr*>(&storage);
  if (getpeername(fd, raw, &length) != 0) return std::nullopt;
  return base::Address::from(raw);
}

bool is_connected(int fd) { return remote_address(fd).has_value(); }

base::Result<Descriptor> dialing_socket(int family, const KeepaliveOptions& keepalive) {
  Descriptor fd(socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return last_error("socket");
  if (const auto error = set_leg_options(fd.get(), keepalive); error.code != 0) return error;
  return fd;
}

int take_socket_error(int fd) {
  int code = 0;
  socklen_t length = sizeof code;
  return getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &length) == 0 ? code : errno;
}

int unread_bytes(int fd) { return queue_length(fd, FIONREAD); }

Waiting waiting(int fd) {
  pollfd entry{fd, POLLIN | POLLPRI, 0};
  if (poll(&entry, 1, 0) != 1) return {};
  return {(entry.revents & (POLLIN | POLLHUP | POLLERR)) != 0, (entry.revents & POLLPRI) != 0};
}

bool at_urgent_mark(int fd) { return sockatmark(fd) == 1; }

// Connecting a datagram socket only looks for a route and a source address.
bool has_source_address(const base::Address& address) {
  const Descriptor probe(socket(address.family(), SOCK_DGRAM | SOCK_CLOEXEC, 0));
  return !probe.valid() || connect(probe.get(), address.raw(), address.length()) == 0;
}

int unsent_bytes(int fd) { return queue_length(fd, SIOCOUTQNSD); }

int unacknowledged_bytes(int fd) { return queue_length(fd, SIOCOUTQ); }

bool is_closed(int fd) {
  constexpr std::uint8_t tcp_close =
      7;  // of the kernel's enum; netinet/tcp.h has it beside linux/tcp.h
  tcp_info info{};
  return get_info(fd, info) && info.tcpi_state == tcp_close;
}

Answers answers(int fd) {
  tcp_info info{};
  Answers result;
  if (!get_info(fd, info)) return result;
  result.outstanding = info.tcpi_unacked > 0 || info.tcpi_notsent_bytes > 0;
  // Probes of a full window are counted until they are answered: one may be on its way.
  result.repeating = info.tcpi_retransmits > 0 || info.tcpi_probes > 1;
  // A side that still sends is there, whatever became of its acknowledgements.
  result.last_answer_ms = std::min(info.tcpi_last_ack_recv, info.tcpi_last_data_recv);
  return result;
}

base::Milliseconds round_trip(int fd) {
  tcp_info info{};
  if (!get_info(fd, info)) return base::Milliseconds(0);
  return std::chrono::ceil<base::Milliseconds>(std::chrono::microseconds(info.tcpi_rtt));
}

base::Milliseconds least_round_trip(int fd) {
  tcp_info info{};
  // UINT32_MAX where none was measured.
  if (!get_info(fd, info) || info.tcpi_min_rtt == UINT32_MAX) return base::Milliseconds(0);
  return std::chrono::floor<base::Milliseconds>(std::chrono::microseconds(info.tcpi_min_rtt));
}

bool probe_unanswered(int fd) {
  tcp_info info{};
  return get_info(fd, info) && info.tcpi_probes > 0;
}

}  // namespace finhold::net
