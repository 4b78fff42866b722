#include "app/doors.h"

#include <iterator>
#include <utility>

#include "base/check.h"

namespace finhold::app {

void Doors::begin(const GenerationRef& generation, std::vector<Sockets> sockets) {
  std::vector<Entrance> former = std::exchange(entrances_, {});
  const auto& routes = generation->config.routes;
  for (std::size_t i = 0; i < sockets.size(); ++i) {
    Sockets& its = sockets[i];
    Entrance entrance{.far = 0, .doors = {}, .fars = {}, .kept = its.kept};
    if (its.from) entrance = std::move(former[*its.from]);
    const bool is_route = i < routes.size();
    const std::size_t far = is_route ? 0 : i - routes.size();
    if (!its.from && is_route) {
      open_doors(entrance, routes[i], std::move(its.opened));
    } else if (!its.from) {
      entrance.far = far;
      open_fars(entrance, generation, std::move(its.opened));
    } else if (is_route) {
      begin_route(entrance, routes[i]);
    } else {
      begin_far(entrance, generation, far);
    }
    entrances_.push_back(std::move(entrance));
  }
  for (Entrance& left : former) {
    for (const auto& door : left.doors) door->close();
    for (const auto& end : left.fars) end->far.drain();
    part_from(left.fars);
  }
  generation_ = generation;
  for (const auto& end : former_) end->far.judged_by(in_place_of(end->far));
}

// That listens where it has listened; or that has its name, if it has moved. nullptr: none.
tunnel::Far* Doors::in_place_of(const tunnel::Far& former) const {
  tunnel::Far* by_name = nullptr;
  for (const Entrance& entrance : entrances_) {
    if (entrance.fars.empty()) continue;
    tunnel::Far& far = entrance.fars.front()->far;
    if (far.listen() == former.listen()) return &far;
    if (far.name() == former.name()) by_name = &far;
  }
  return by_name;
}

void Doors::begin_route(Entrance& entrance, const relay::Route& route) {
  if (entrance.fars.empty()) {
    for (const auto& door : entrance.doors) door->lead_to(route);
  } else {
    open_doors(entrance, route, sockets_of(entrance, route));
  }
}

void Doors::begin_far(Entrance& entrance, const GenerationRef& generation, std::size_t far) {
  if (entrance.doors.empty() && is_same_far(*generation_, entrance.far, *generation, far)) {
    entrance.far = far;
    return;
  }
  entrance.far = far;
  const relay::Route& route = generation->config.fars[far].settings.route;
  open_fars(entrance, generation, sockets_of(entrance, route));
}

// The poller has a place for each of them (Worker::reserve).
void Doors::open_doors(Entrance& entrance, const relay::Route& route,
                       std::vector<net::Descriptor> sockets) {
  for (net::Descriptor& socket : sockets) {
    entrance.doors.push_back(
        std::make_unique<Door>(shared_, route, std::move(socket), entrance.kept));
    FINHOLD_CHECK(entrance.doors.back()->open().code == 0);
  }
}

void Doors::open_fars(Entrance& entrance, const GenerationRef& generation,
                      std::vector<net::Descriptor> sockets) {
  const tunnel::FarSettings& settings = generation->config.fars[entrance.far].settings;
  const auto& tls = generation->certificates.fars[entrance.far];
  for (net::Descriptor& socket : sockets) {
    entrance.fars.emplace_back(new FarEnd{
        generation,
        tunnel::Far(settings, tls ? &*tls : nullptr, std::move(socket), connections_, shared_.table,
                    shared_.quota, shared_.loop, shared_.poller, shared_.timers)});
    FINHOLD_CHECK(entrance.fars.back()->far.start().code == 0);
  }
}

// They listen on, and nobody accepts until the next one has them.
std::vector<net::Descriptor> Doors::sockets_of(Entrance& entrance, const relay::Route& next) {
  std::vector<net::Descriptor> sockets;
  for (const auto& door : entrance.doors) sockets.push_back(door->hand_over());
  entrance.doors.clear();
  for (const auto& end : entrance.fars) sockets.push_back(end->far.hand_over());
  for (const net::Descriptor& socket : sockets) lend_keepalive(socket.get(), next);
  part_from(entrance.fars);
  return sockets;
}

void Doors::part_from(std::vector<std::unique_ptr<FarEnd>>& fars) {
  std::move(fars.begin(), fars.end(), std::back_inserter(former_));
  fars.clear();
}

void Doors::drain() {
  for (Entrance& entrance : entrances_) {
    for (const auto& door : entrance.doors) door->close();
    for (const auto& end : entrance.fars) end->far.drain();
  }
}

void Doors::count(std::map<std::string, admin::EndCounts>& fars) const {
  const auto add = [&fars](const std::vector<std::unique_ptr<FarEnd>>& ends) {
    for (const auto& end : ends) {
      fars[end->far.name()] += {end->far.connections(), end->far.streams()};
    }
  };
  for (const Entrance& entrance : entrances_) add(entrance.fars);
  add(former_);
}

// A session outlives the connection that it came by while a slow reader takes its last bytes, and
// its route is one of that generation.
bool Doors::forget_former(const std::vector<const relay::Route*>& in_use) {
  std::erase_if(former_, [&](const auto& end) {
    return end->far.is_over() && !is_in_use(*end->generation, in_use);
  });
  return former_.empty();
}

}  // namespace finhold::app
