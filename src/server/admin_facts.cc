#include "server/admin_facts.h"

#include <string>

#include "base/check.h"

namespace finhold::server {
namespace {

// Several, if systemd has passed several sockets for one listener.
std::string text_of(const std::vector<base::Address>& addresses) {
  std::string all;
  for (const base::Address& one : addresses) all += (all.empty() ? "" : ", ") + one.text();
  return all;
}

}  // namespace

admin::Facts facts_of(const config::Config& config, const std::vector<ListenPlace>& places) {
  FINHOLD_CHECK(places.size() == config.routes.size() + config.fars.size());
  admin::Facts facts;
  facts.version = FINHOLD_VERSION;
  facts.ready_with_tunnels = config.admin.ready_with_tunnels;
  auto place = places.begin();
  for (const relay::Route& route : config.routes) {
    const bool intercepts = route.intercept != relay::Intercept::none;
    admin::RouteFacts& told = facts.routes.emplace_back();
    told.name = route.name;
    told.listen = text_of((place++)->bound);
    if (!intercepts) told.server = route.server.text();
    if (route.tunnel >= 0) {
      told.tunnel = config.tunnels[static_cast<std::size_t>(route.tunnel)].settings.name;
    }
    told.most_sessions = route.sessions;
    told.crosses = core::name(route.fin.crosses);
  }
  for (const config::FarConfig& far : config.fars) {
    const relay::Route& route = far.settings.route;
    facts.routes.push_back({.name = route.name,
                            .listen = text_of((place++)->bound),
                            .is_far = true,
                            .crosses = core::name(route.fin.crosses)});
  }
  return facts;
}

}  // namespace finhold::server
