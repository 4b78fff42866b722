#include "server/dial_check.h"

#include <cerrno>
#include <string>
#include <string_view>

#include "base/log.h"
#include "config/messages.h"
#include "net/dial_source.h"
#include "net/dialer.h"
#include "relay/interception.h"

namespace finhold::server {

namespace log = base::log;

namespace {

base::Error try_dialing(const relay::Route& route, const char* client) {
  const auto options = relay::dial_options(route, base::Address::parse(client).value());
  // The mark and a foreign address need the same in both families.
  const int family = options.source ? options.source->family() : base::Address().family();
  const auto socket = net::dialing_socket(family, options);
  return socket.ok() ? base::Error{} : socket.error();
}

std::string cure(const base::Error& error) {
  if (const char* capability = net::missing_capability(error)) {
    const bool marking = std::string_view(error.operation) == net::setting_mark;
    return std::string(marking ? "mark" : "source = \"client\"") + " needs " + capability +
           " (AmbientCapabilities= in systemd)" +
           (marking ? "; or write mark = 0 and let the rules spare the user of finhold" : "");
  }
  if (error.code == EADDRNOTAVAIL) {
    return "this machine does not have the address that source names; \"ip address\" shows those "
           "it "
           "has";
  }
  const std::string want = config::cure_of_want(error.code);
  return want.empty() ? "a socket as it needs cannot be made" : want;
}

}  // namespace

bool can_dial(const relay::Route& route) {
  // A client of a network that is for documentation only (RFC 5737).
  const auto error = try_dialing(route, "192.0.2.1:40000");
  if (error.code != 0) {
    log::Line("cannot dial servers: " + cure(error))
        .add("route", route.name)
        .add("error", error.text())
        .write(log::Level::error);
    return false;
  }
  if (route.source.kind == relay::Source::Kind::client &&
      net::missing_capability(try_dialing(route, "192.0.2.1:1")) != nullptr) {
    log::Line(
        "clients that come from a port below 1024, such as rsh and rlogin, cannot be served: that "
        "needs CAP_NET_BIND_SERVICE (AmbientCapabilities= in systemd)")
        .add("route", route.name)
        .write(log::Level::warning);
  }
  return true;
}

bool can_dial(const tunnel::TunnelSettings& tunnel) {
  net::DialOptions options;
  options.mark = tunnel.mark;
  const auto socket = net::dialing_socket(base::Address().family(), options);
  if (socket.ok()) return true;
  log::Line("cannot dial the far end: " + cure(socket.error()))
      .add("tunnel", tunnel.name)
      .add("error", socket.error().text())
      .write(log::Level::error);
  return false;
}

}  // namespace finhold::server
