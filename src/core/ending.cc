#include "core/ending.h"

#include <cerrno>
#include <string_view>

namespace finhold::core {

const char* name(Ending ending) {
  switch (ending) {
    case Ending::finished:
      return "finished";
    case Ending::client_reset:
      return "client-reset";
    case Ending::server_reset:
      return "server-reset";
    case Ending::client_vanished:
      return "client-vanished";
    case Ending::server_vanished:
      return "server-vanished";
    case Ending::server_refused:
      return "server-refused";
    case Ending::server_unreachable:
      return "server-unreachable";
    case Ending::server_timeout:
      return "server-timeout";
    case Ending::server_unresolved:
      return "server-unresolved";
    case Ending::half_closed_idle:
      return "half-closed-idle";
    case Ending::half_closed_total:
      return "half-closed-total";
    case Ending::closing:
      return "closing";
    case Ending::idle:
      return "idle";
    case Ending::drain_limit:
      return "drain-limit";
    case Ending::not_intercepted:
      return "not-intercepted";
    case Ending::untrusted_proxy:
      return "untrusted-proxy";
    case Ending::bad_proxy_header:
      return "bad-proxy-header";
    case Ending::client_denied:
      return "client-denied";
    case Ending::client_limit:
      return "client-limit";
    case Ending::client_rate:
      return "client-rate";
    case Ending::not_allowed:
      return "not-allowed";
    case Ending::far_busy:
      return "far-busy";
    case Ending::tunnel_lost:
      return "tunnel-lost";
    case Ending::no_tunnel:
      return "no-tunnel";
    case Ending::local_error:
      return "local-error";
  }
  return "";
}

const char* name(Gone gone) {
  switch (gone) {
    case Gone::none:
      return "none";
    case Gone::local_closed:
      return "local-closed";
    case Gone::keepalive:
      return "keepalive";
    case Gone::reset:
      return "reset";
  }
  return "";
}

Ending ending_of_failed_leg(base::Side side, int code) {
  const bool client = side == base::Side::client;
  switch (code) {
    case ETIMEDOUT:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EHOSTDOWN:
    case ENETDOWN:
      return client ? Ending::client_vanished : Ending::server_vanished;
    default:
      return client ? Ending::client_reset : Ending::server_reset;
  }
}

std::optional<Ending> ending_of_limit(Event::Kind limit) {
  switch (limit) {
    case Event::Kind::half_closed_idle:
      return Ending::half_closed_idle;
    case Event::Kind::half_closed_total:
      return Ending::half_closed_total;
    case Event::Kind::closing:
      return Ending::closing;
    case Event::Kind::idle:
      return Ending::idle;
    default:
      return std::nullopt;
  }
}

Ending ending_of_failed_dial(const base::Error& error) {
  const std::string_view operation = error.operation;
  // What precedes connect() concerns no server: the client's port, the source address.
  if (operation == "bind" || operation.starts_with("setsockopt")) return Ending::local_error;
  switch (error.code) {
    case ECONNREFUSED:
    case ECONNRESET:
      return Ending::server_refused;
    case ETIMEDOUT:
      return Ending::server_timeout;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
    case EADDRNOTAVAIL:  // no local port is free, or not the client's
      return Ending::local_error;
    default:
      return Ending::server_unreachable;
  }
}

}  // namespace finhold::core
