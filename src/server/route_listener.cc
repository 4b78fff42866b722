#include "server/route_listener.h"

#include <utility>

#include "base/log.h"
#include "net/socket.h"
#include "relay/keepalive_options.h"

namespace finhold::server {

namespace log = base::log;

void lend_keepalive(int socket, const relay::Route& route) {
  static_cast<void>(
      net::set_leg_options(socket, relay::keepalive_options(route, base::Side::client)));
}

RouteListener::RouteListener(const Shared& shared, const relay::Route& route,
                             net::Descriptor socket, bool kept)
    : shared_(shared),
      route_(&route),
      kept_(kept),
      quota_(&shared.quota.of_route(route.name)),
      listener_(shared.poller, shared.timers, shared.loop, std::move(socket), *this) {}

RouteListener::~RouteListener() {
  if (paused_in_ != nullptr) static_cast<void>(paused_in_->last_to_recover());
}

void RouteListener::lead_to(const relay::Route& route) {
  lend_keepalive(listener_.fd(), route);
  route_ = &route;
  quota_ = &shared_.quota.of_route(route.name);
}

void RouteListener::on_accepted(net::Descriptor fd, const base::Address& client) {
  shared_.table.open(*route_, std::move(fd), client);
}

void RouteListener::on_paused(const base::Error& error) {
  const bool by_route = error.code == 0 && !quota_->room(route_->sessions);
  paused_in_ = by_route ? &quota_->pauses() : &shared_.quota.pauses();
  if (!paused_in_->first_to_pause()) return;
  log::Line line("accepting is paused; connections wait in the kernel's queue");
  line.add("route", route_->name);
  if (by_route) {
    line.add("reason", "sessions of the route is reached").add("sessions", route_->sessions);
  } else if (error.code == 0) {
    line.add("reason", "limits.sessions is reached").add("sessions", shared_.quota.most());
  } else {
    line.add("reason", error.text());
  }
  line.write(log::Level::warning);
}

void RouteListener::on_recovered() {
  if (!std::exchange(paused_in_, nullptr)->last_to_recover()) return;
  log::Line("accepting goes on").add("route", route_->name).write(log::Level::info);
}

}  // namespace finhold::server
