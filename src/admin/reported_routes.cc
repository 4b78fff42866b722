#include "admin/reported_routes.h"

#include <set>
#include <string>

namespace finhold::admin {

std::vector<std::pair<RouteFacts, relay::RouteCounts>> reported_routes(const Facts& facts,
                                                                       const Reports& reports) {
  std::vector<std::pair<RouteFacts, relay::RouteCounts>> told;
  std::set<std::string> configured;
  for (const RouteFacts& route : facts.routes) {
    const auto found = reports.routes.find(route.name);
    told.emplace_back(route, found != reports.routes.end() ? found->second : relay::RouteCounts{});
    configured.insert(route.name);
  }
  for (const auto& [name, counts] : reports.routes) {
    if (counts.sessions == 0 || configured.contains(name)) continue;
    told.emplace_back(RouteFacts{.name = name, .is_removed = true}, counts);
  }
  return told;
}

}  // namespace finhold::admin
