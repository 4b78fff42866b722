#include "relay/interception.h"

#include "base/check.h"
#include "net/original_destination.h"
#include "net/socket.h"
#include "relay/keepalive_options.h"

namespace finhold::relay {
namespace {

base::Result<base::Address> server_by_the_kernel(const Route& route, int client) {
  FINHOLD_CHECK(route.intercept != Intercept::none);
  const auto own = net::local_address(client);
  if (!own.ok()) return own.error();
  const base::Address here = own.value().unmapped();
  if (route.intercept == Intercept::tproxy) {
    // The kernel accepts in the name of the server. The server of a client may well have our port,
    // but not our address as well.
    if (here.port() == route.listen.port() && net::is_own_address(here)) return to_the_listener;
    return here;
  }
  auto server = net::original_destination(client);
  if (server.ok() && server.value().without_zone() == here.without_zone()) return to_the_listener;
  // Nothing is known of a connection that was never translated, in a namespace without such rules.
  if (!server.ok() && server.error().code == ENOENT) return to_the_listener;
  return server;
}

}  // namespace

base::Result<base::Address> intended_server(const Route& route, int client,
                                            const base::Address& address, const OwnDials& ours) {
  auto server = server_by_the_kernel(route, client);
  if (server.ok() && ours.contains(address, server.value())) return from_finhold_itself;
  return server;
}

net::DialOptions dial_options(const Route& route, const base::Address& client) {
  net::DialOptions options;
  options.timeout_ms = net::instant(route.connect_timeout);
  options.keepalive = keepalive_options(route, base::Side::server);
  options.mark = route.own_mark();
  switch (route.source.kind) {
    case Source::Kind::self:
      break;
    case Source::Kind::client:
      options.source = client.unmapped();
      options.transparent = true;
      break;
    case Source::Kind::address:
      options.source = route.source.address.unmapped();
      break;
  }
  return options;
}

}  // namespace finhold::relay
