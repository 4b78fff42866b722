#include "app/door.h"

#include <utility>

#include "base/log.h"
#include "net/socket.h"
#include "relay/keepalive_options.h"

namespace finhold::app {

namespace log = base::log;

void lend_keepalive(int socket, const relay::Route& route) {
  static_cast<void>(
      net::set_leg_options(socket, relay::keepalive_options(route, base::Side::client)));
}

Door::Door(const Shared& shared, const relay::Route& route, net::Descriptor socket, bool kept)
    : shared_(shared),
      route_(&route),
      kept_(kept),
      listener_(shared.poller, shared.timers, shared.loop, std::move(socket), *this) {}

Door::~Door() {
  if (paused_) static_cast<void>(shared_.quota.last_to_recover());
}

void Door::lead_to(const relay::Route& route) {
  lend_keepalive(listener_.fd(), route);
  route_ = &route;
}

void Door::on_accepted(net::Descriptor fd, const base::Address& client) {
  shared_.table.open(*route_, std::move(fd), client);
}

void Door::on_paused(const base::Error& error) {
  paused_ = true;
  if (!shared_.quota.first_to_pause()) return;
  log::Line line("accepting is paused; connections wait in the kernel's queue");
  line.add("route", route_->name);
  if (error.code == 0) {
    line.add("reason", "limits.sessions is reached").add("sessions", shared_.quota.most());
  } else {
    line.add("reason", error.text());
  }
  line.write(log::Level::warning);
}

void Door::on_recovered() {
  paused_ = false;
  if (!shared_.quota.last_to_recover()) return;
  log::Line("accepting goes on").add("route", route_->name).write(log::Level::info);
}

}  // namespace finhold::app
