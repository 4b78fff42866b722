#include "server/listen_plan.h"

#include <algorithm>

#include "config/listen_overlap.h"

namespace finhold::server {
namespace {

ListenPlace place_of(const relay::Route& route) {
  return {.name = route.name,
          .address = route.listen,
          .transparent = route.intercept == relay::Intercept::tproxy};
}

bool is_same_name(const ListenPlace& one, const ListenPlace& two) {
  return one.name == two.name &&
         (one.address == two.address ||
          (one.kept_by_systemd && one.address.port() == two.address.port()));
}

bool is_same_address(const ListenPlace& one, const ListenPlace& two) {
  return one.address == two.address && two.address.port() != 0;
}

}  // namespace

std::vector<ListenPlace> listen_places(const config::Config& config) {
  std::vector<ListenPlace> places;
  for (const relay::Route& route : config.routes) places.push_back(place_of(route));
  for (const config::FarConfig& far : config.fars) places.push_back(place_of(far.settings.route));
  return places;
}

std::vector<ListenStep> plan_listening(const std::vector<ListenPlace>& now,
                                       const std::vector<ListenPlace>& next) {
  std::vector<ListenStep> steps(next.size());
  std::vector<bool> taken(now.size());
  for (const auto is_same : {is_same_name, is_same_address}) {
    for (std::size_t i = 0; i < next.size(); ++i) {
      for (std::size_t from = 0; from < now.size() && !steps[i].from; ++from) {
        if (taken[from] || now[from].transparent != next[i].transparent ||
            !is_same(now[from], next[i])) {
          continue;
        }
        steps[i].from = from;
        taken[from] = true;
      }
    }
  }
  for (std::size_t i = 0; i < next.size(); ++i) {
    if (steps[i].from) continue;
    steps[i].beside_ours = std::any_of(now.begin(), now.end(), [&](const ListenPlace& ours) {
      // Of port 0 the sockets know what it has become.
      return config::listeners_overlap(ours.address, next[i].address) ||
             std::any_of(ours.bound.begin(), ours.bound.end(), [&](const base::Address& bound) {
               return config::listeners_overlap(bound, next[i].address);
             });
    });
  }
  return steps;
}

}  // namespace finhold::server
