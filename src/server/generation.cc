#include "server/generation.h"

#include <algorithm>
#include <functional>
#include <string>

namespace finhold::server {
namespace {

bool is_same(const std::optional<tls::Context>& one, const std::optional<tls::Context>& two) {
  if (!one || !two) return one.has_value() == two.has_value();
  return one->fingerprint() == two->fingerprint();
}

const std::string& name_of(const relay::Route& route) { return route.name; }
const std::string& name_of(const config::TunnelConfig& tunnel) { return tunnel.settings.name; }
const std::string& name_of(const config::FarConfig& far) { return far.settings.route.name; }

template <typename Item>
std::optional<std::size_t> find(const std::vector<Item>& items, const std::string& name) {
  const auto found = std::find_if(items.begin(), items.end(),
                                  [&](const Item& item) { return name_of(item) == name; });
  if (found == items.end()) return std::nullopt;
  return static_cast<std::size_t>(found - items.begin());
}

// `is_same`: of the two, by their places.
template <typename Item, typename Same>
void compare(const std::vector<Item>& earlier, const std::vector<Item>& now, const Same& is_same,
             Difference& result) {
  std::size_t stayed = 0;
  for (std::size_t i = 0; i < now.size(); ++i) {
    const auto before = find(earlier, name_of(now[i]));
    if (!before) {
      ++result.added;
      continue;
    }
    ++stayed;
    if (!is_same(*before, i)) ++result.changed;
  }
  result.removed += earlier.size() - stayed;
}

// The name of a route's tunnel says which one it is; its number may change with the others'.
bool is_same_route(const config::Config& earlier, relay::Route before, const config::Config& now,
                   const relay::Route& route) {
  const auto name = [](const config::Config& config, int tunnel) {
    return tunnel < 0 ? std::string()
                      : config.tunnels[static_cast<std::size_t>(tunnel)].settings.name;
  };
  if (name(earlier, before.tunnel) != name(now, route.tunnel)) return false;
  before.tunnel = route.tunnel;
  return before == route;
}

}  // namespace

bool owns(const Generation& generation, const relay::Route& route) {
  const auto& routes = generation.config.routes;
  const std::less<> before;
  if (!routes.empty() && !before(&route, routes.data()) &&
      before(&route, routes.data() + routes.size())) {
    return true;
  }
  return std::any_of(generation.config.fars.begin(), generation.config.fars.end(),
                     [&](const config::FarConfig& far) { return &far.settings.route == &route; });
}

bool is_in_use(const Generation& generation, const std::vector<const relay::Route*>& routes) {
  return std::any_of(routes.begin(), routes.end(),
                     [&](const relay::Route* route) { return owns(generation, *route); });
}

bool uses_tunnel(const config::Config& config, std::size_t tunnel) {
  return std::any_of(
      config.routes.begin(), config.routes.end(),
      [tunnel](const relay::Route& route) { return route.tunnel == static_cast<int>(tunnel); });
}

std::optional<std::size_t> same_tunnel(const Generation& earlier, const Generation& now,
                                       std::size_t tunnel) {
  const tunnel::TunnelSettings& settings = now.config.tunnels[tunnel].settings;
  const auto before = find(earlier.config.tunnels, settings.name);
  if (!before || !(earlier.config.tunnels[*before].settings == settings) ||
      !is_same(earlier.certificates.tunnels[*before], now.certificates.tunnels[tunnel])) {
    return std::nullopt;
  }
  return before;
}

bool is_same_far(const Generation& earlier, std::size_t earlier_far, const Generation& now,
                 std::size_t far) {
  return earlier.config.fars[earlier_far].settings == now.config.fars[far].settings &&
         is_same(earlier.certificates.fars[earlier_far], now.certificates.fars[far]);
}

Difference difference(const Generation& earlier, const Generation& now) {
  Difference result;
  compare(
      earlier.config.routes, now.config.routes,
      [&](std::size_t before, std::size_t i) {
        return is_same_route(earlier.config, earlier.config.routes[before], now.config,
                             now.config.routes[i]);
      },
      result);
  compare(
      earlier.config.tunnels, now.config.tunnels,
      [&](std::size_t, std::size_t i) { return same_tunnel(earlier, now, i).has_value(); }, result);
  compare(
      earlier.config.fars, now.config.fars,
      [&](std::size_t before, std::size_t i) { return is_same_far(earlier, before, now, i); },
      result);
  return result;
}

}  // namespace finhold::server
