#include "server/bind_sockets.h"

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>

#include "base/log.h"
#include "config/messages.h"
#include "net/socket.h"
#include "relay/keepalive_options.h"

namespace finhold::server {

namespace log = base::log;

namespace {

using Sockets = std::optional<std::vector<net::Descriptor>>;

// What to do about an address that cannot be listened on.
std::string advice(const base::Error& error) {
  switch (error.code) {
    case EADDRINUSE:
      return "another process listens there: \"ss -ltnp\" shows which; stop it or choose another "
             "port";
    case EPERM:
      return "intercept = \"tproxy\" needs CAP_NET_RAW or CAP_NET_ADMIN (AmbientCapabilities= in "
             "systemd)";
    case EACCES:
      // Of a security module (SELinux, AppArmor), or of a filter of system calls.
      if (std::string_view(error.operation) != "bind") {
        return "this machine's security policy forbids finhold that call: \"dmesg\" or \"ausearch "
               "-m "
               "avc\" shows which";
      }
      return "ports below 1024 need CAP_NET_BIND_SERVICE (AmbientCapabilities= in systemd) or a "
             "lower net.ipv4.ip_unprivileged_port_start";
    case EADDRNOTAVAIL:
      return "this machine does not have that address: \"ip address\" shows those it has";
    case EAFNOSUPPORT:
      return "this machine has no IPv6; listen on an IPv4 address";
    default: {
      const std::string cure = config::cure_of_want(error.code);
      return cure.empty() ? "the kernel refuses it" : cure;
    }
  }
}

// The same at a reload: finhold itself may be in the way, and does not get back what it gave up.
std::string advice_at_reload(const base::Error& error) {
  switch (error.code) {
    case EADDRINUSE:
      return "another process listens there (\"ss -ltnp\" shows which), or finhold itself, for "
             "[admin] or since before it became `user`: that needs a restart";
    case EPERM:
    case EACCES:
      return advice(error) + "; once given up, only a restart has it again";
    default:
      return advice(error);
  }
}

const char* kind_of(const Listens& who) { return who.is_far ? "far" : "route"; }

void tell_listening(const Listens& who, const base::Address& address, const PassedSocket* passed) {
  const relay::Route& route = who.route;
  log::Line line("listening");
  line.add(kind_of(who), route.name).add("address", address.text());
  if (route.intercept != relay::Intercept::none) {
    line.add("intercept", route.intercept == relay::Intercept::tproxy ? "tproxy" : "redirect");
  } else if (!who.is_far) {
    line.add("server", route.server.text());
  }
  if (!who.tunnel.empty()) line.add("tunnel", who.tunnel);
  if (passed != nullptr) line.add("socket", passed->name);
  line.write(log::Level::info);
}

void tell_not_listening(const Listens& who, const base::Address& address,
                        const base::Error& error) {
  log::Line("cannot listen: " + (who.later ? advice_at_reload(error) : advice(error)))
      .add(kind_of(who), who.route.name)
      .add("address", address.text())
      .add("error", error.text())
      .write(log::Level::error);
}

// One socket of its own a worker.
Sockets bind_alone(const Listens& who, std::uint32_t workers) {
  const relay::Route& route = who.route;
  std::vector<net::Descriptor> sockets;
  base::Address address = route.listen;
  for (std::uint32_t i = 0; i < workers; ++i) {
    auto socket = net::bind_tcp(address, i == 0 && !who.beside_ours,
                                relay::keepalive_options(route, base::Side::client),
                                route.intercept == relay::Intercept::tproxy);
    if (!socket.ok()) {
      tell_not_listening(who, address, socket.error());
      return std::nullopt;
    }
    // Port 0: the first worker's socket has got the port that all of them use.
    if (i == 0) {
      const auto bound = address_of(who, socket.value().get());
      if (!bound) return std::nullopt;
      address = *bound;
    }
    sockets.push_back(std::move(socket.value()));
  }
  return sockets;
}

// The same for a socket of systemd's.
Sockets adopt(const Listens& who, PassedSocket passed, std::uint32_t workers) {
  const relay::Route& route = who.route;
  if (route.intercept != relay::Intercept::none && passed.address.port() != route.listen.port()) {
    log::Line(
        "the socket that systemd has passed has another port than listen, where the rules "
        "divert connections to: make them the same")
        .add("route", route.name)
        .add("socket", passed.name)
        .add("address", passed.address.text())
        .add("listen", route.listen.text())
        .write(log::Level::error);
    return std::nullopt;
  }
  const base::Error error =
      net::adopt_listener(passed.socket.get(), relay::keepalive_options(route, base::Side::client),
                          route.intercept == relay::Intercept::tproxy);
  auto sockets = error.code != 0 ? error : share(std::move(passed.socket), workers);
  if (!sockets.ok()) {
    tell_not_listening(who, passed.address, sockets.error());
    return std::nullopt;
  }
  tell_listening(who, passed.address, &passed);
  return std::move(sockets.value());
}

}  // namespace

std::optional<base::Address> address_of(const Listens& who, int socket) {
  const auto address = net::local_address(socket);
  if (address.ok()) return address.value();
  tell_not_listening(who, who.route.listen, address.error());
  return std::nullopt;
}

std::optional<std::vector<net::Descriptor>> open_sockets(const Listens& who,
                                                         std::vector<PassedSocket> passed,
                                                         std::uint32_t workers) {
  if (passed.empty()) return bind_alone(who, workers);
  std::vector<net::Descriptor> all;
  for (PassedSocket& each : passed) {
    auto sockets = adopt(who, std::move(each), workers);
    if (!sockets) return std::nullopt;
    std::move(sockets->begin(), sockets->end(), std::back_inserter(all));
  }
  return all;
}

bool begin_listening(const Listens& who, const std::vector<int>& sockets) {
  for (const int socket : sockets) {
    const base::Error error = net::begin_listening(socket);
    if (error.code == 0) continue;
    const auto address = net::local_address(socket);
    tell_not_listening(who, address.ok() ? address.value() : who.route.listen, error);
    return false;
  }
  const auto address = address_of(who, sockets.front());
  if (address) tell_listening(who, *address, nullptr);
  return address.has_value();
}

std::optional<net::Descriptor> listen_admin(const base::Address& address) {
  auto socket = net::listen_tcp(address, true, {});
  const auto bound = socket.ok() ? net::local_address(socket.value().get()) : socket.error();
  if (!bound.ok()) {
    log::Line("cannot listen for [admin]: " + advice(bound.error()))
        .add("address", address.text())
        .add("error", bound.error().text())
        .write(log::Level::error);
    return std::nullopt;
  }
  log::Line("status page").add("address", bound.value().text()).write(log::Level::info);
  return std::move(socket.value());
}

}  // namespace finhold::server
