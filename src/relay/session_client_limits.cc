// Whether the client of a session is served at all: by its address, and by what it has already.
#include <algorithm>

#include "relay/session.h"
#include "relay/session_log.h"
#include "relay/session_table.h"

namespace finhold::relay {
namespace {

bool is_in(const std::vector<base::Network>& networks, const base::Address& client) {
  return std::any_of(networks.begin(), networks.end(),
                     [&](const base::Network& network) { return network.contains(client); });
}

}  // namespace

bool lets_in(const Route& route, const base::Address& client) {
  if (is_in(route.deny, client)) return false;
  return route.allow.empty() || is_in(route.allow, client);
}

// Before anything is dialed, and for the client that a proxy has announced, if one has. The rate
// first: a connect that finds no place for its session is one nevertheless.
bool Session::admit() {
  const ClientLimits& limits = route_->each_client;
  RouteQuota& quota = table_->quota_of(*route_);
  const base::Network client = counted_as();
  if (!lets_in(*route_, client_)) return refuse_client(core::Ending::client_denied);
  if (limits.connects_per_second != 0 &&
      !quota.rates().take(client, limits.connects_per_second, now())) {
    return refuse_client(core::Ending::client_rate);
  }
  if (!quota.clients().take(client, limits.sessions)) {
    return refuse_client(core::Ending::client_limit);
  }
  counted_ = true;
  return true;
}

bool Session::refuse_client(core::Ending why) {
  if (const auto left_out = table_->refusals().take(now())) {
    log_refused_client(*this, why, *left_out);
  }
  abort(why);
  return false;
}

}  // namespace finhold::relay
