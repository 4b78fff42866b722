#include "app/admin_facts.h"

#include <chrono>
#include <set>
#include <string>

#include "net/socket.h"

namespace finhold::app {
namespace {

// Several, if systemd has passed several sockets for one listener.
class Addresses {
 public:
  void add(const net::Descriptor& socket) {
    texts_.insert(net::local_address(socket.get()).text());
  }
  [[nodiscard]] std::string text() const {
    std::string all;
    for (const std::string& one : texts_) all += (all.empty() ? "" : ", ") + one;
    return all;
  }

 private:
  std::set<std::string> texts_;
};

}  // namespace

admin::Facts facts_of(const Config& config, std::span<const BoundSockets> bound,
                      std::uint32_t most_sessions) {
  admin::Facts facts{.version = FINHOLD_VERSION,
                     .started = std::chrono::system_clock::now(),
                     .most_sessions = most_sessions,
                     .routes = {}};
  for (const relay::Route& route : config.routes) {
    Addresses addresses;
    for (const BoundSockets& worker : bound) {
      for (const BoundRoute& one : worker.routes) {
        if (one.route == &route) addresses.add(one.socket);
      }
    }
    const bool intercepts = route.intercept != relay::Intercept::none;
    admin::RouteFacts& told = facts.routes.emplace_back();
    told.name = route.name;
    told.listen = addresses.text();
    if (!intercepts) told.server = route.server.text();
    if (route.tunnel >= 0) {
      told.tunnel = config.tunnels[static_cast<std::size_t>(route.tunnel)].settings.name;
    }
    told.crosses = core::name(route.fin.crosses);
  }
  for (std::size_t i = 0; i < config.fars.size(); ++i) {
    const relay::Route& route = config.fars[i].settings.route;
    Addresses addresses;
    for (const BoundSockets& worker : bound) {
      for (const BoundFar& one : worker.fars) {
        if (one.far == i) addresses.add(one.socket);
      }
    }
    facts.routes.push_back({.name = route.name,
                            .listen = addresses.text(),
                            .is_far = true,
                            .crosses = core::name(route.fin.crosses)});
  }
  return facts;
}

}  // namespace finhold::app
