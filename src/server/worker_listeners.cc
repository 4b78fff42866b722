#include "server/worker_listeners.h"

#include <iterator>
#include <utility>

#include "base/check.h"

namespace finhold::server {

void WorkerListeners::begin(const GenerationRef& generation, std::vector<Sockets> sockets) {
  std::vector<Place> former = std::exchange(places_, {});
  const auto& routes = generation->config.routes;
  for (std::size_t i = 0; i < sockets.size(); ++i) {
    Sockets& its = sockets[i];
    Place place{.far = 0, .listeners = {}, .fars = {}, .kept = its.kept};
    if (its.from) place = std::move(former[*its.from]);
    const bool is_route = i < routes.size();
    const std::size_t far = is_route ? 0 : i - routes.size();
    if (!its.from && is_route) {
      open_listeners(place, routes[i], std::move(its.opened));
    } else if (!its.from) {
      place.far = far;
      open_fars(place, generation, std::move(its.opened));
    } else if (is_route) {
      begin_route(place, routes[i]);
    } else {
      begin_far(place, generation, far);
    }
    places_.push_back(std::move(place));
  }
  for (Place& left : former) {
    for (const auto& listener : left.listeners) listener->close();
    for (const auto& end : left.fars) end->far.drain();
    part_from(left.fars);
  }
  generation_ = generation;
  for (const auto& end : former_) end->far.judged_by(in_place_of(end->far));
}

// That listens where it has listened; or that has its name, if it has moved. nullptr: none.
tunnel::Far* WorkerListeners::in_place_of(const tunnel::Far& former) const {
  tunnel::Far* by_name = nullptr;
  for (const Place& place : places_) {
    if (place.fars.empty()) continue;
    tunnel::Far& far = place.fars.front()->far;
    if (far.listen() == former.listen()) return &far;
    if (far.name() == former.name()) by_name = &far;
  }
  return by_name;
}

void WorkerListeners::begin_route(Place& place, const relay::Route& route) {
  if (place.fars.empty()) {
    for (const auto& listener : place.listeners) listener->lead_to(route);
  } else {
    open_listeners(place, route, sockets_of(place, route));
  }
}

void WorkerListeners::begin_far(Place& place, const GenerationRef& generation, std::size_t far) {
  if (place.listeners.empty() && is_same_far(*generation_, place.far, *generation, far)) {
    place.far = far;
    return;
  }
  place.far = far;
  const relay::Route& route = generation->config.fars[far].settings.route;
  open_fars(place, generation, sockets_of(place, route));
}

// The poller has a place for each of them (Worker::reserve).
void WorkerListeners::open_listeners(Place& place, const relay::Route& route,
                                     std::vector<net::Descriptor> sockets) {
  for (net::Descriptor& socket : sockets) {
    place.listeners.push_back(
        std::make_unique<RouteListener>(shared_, route, std::move(socket), place.kept));
    FINHOLD_CHECK(place.listeners.back()->open().code == 0);
  }
}

void WorkerListeners::open_fars(Place& place, const GenerationRef& generation,
                                std::vector<net::Descriptor> sockets) {
  const tunnel::FarSettings& settings = generation->config.fars[place.far].settings;
  const auto& tls = generation->certificates.fars[place.far];
  for (net::Descriptor& socket : sockets) {
    place.fars.emplace_back(new FarEnd{
        generation,
        tunnel::Far(settings, tls ? &*tls : nullptr, std::move(socket), connections_, shared_.table,
                    shared_.quota, shared_.loop, shared_.poller, shared_.timers)});
    FINHOLD_CHECK(place.fars.back()->far.start().code == 0);
  }
}

// They listen on, and nobody accepts until the next one has them.
std::vector<net::Descriptor> WorkerListeners::sockets_of(Place& place, const relay::Route& next) {
  std::vector<net::Descriptor> sockets;
  for (const auto& listener : place.listeners) sockets.push_back(listener->hand_over());
  place.listeners.clear();
  for (const auto& end : place.fars) sockets.push_back(end->far.hand_over());
  for (const net::Descriptor& socket : sockets) lend_keepalive(socket.get(), next);
  part_from(place.fars);
  return sockets;
}

void WorkerListeners::part_from(std::vector<std::unique_ptr<FarEnd>>& fars) {
  std::move(fars.begin(), fars.end(), std::back_inserter(former_));
  fars.clear();
}

void WorkerListeners::drain() {
  for (Place& place : places_) {
    for (const auto& listener : place.listeners) listener->close();
    for (const auto& end : place.fars) end->far.drain();
  }
}

void WorkerListeners::count(std::map<std::string, admin::EndCounts>& fars) const {
  const auto add = [&fars](const std::vector<std::unique_ptr<FarEnd>>& ends) {
    for (const auto& end : ends) {
      fars[end->far.name()] += {end->far.connections(), end->far.streams()};
    }
  };
  for (const Place& place : places_) add(place.fars);
  add(former_);
}

// A session outlives the connection that it came by while a slow reader takes its last bytes, and
// its route is one of that generation.
bool WorkerListeners::forget_former(const std::vector<const relay::Route*>& in_use) {
  std::erase_if(former_, [&](const auto& end) {
    return end->far.is_over() && !is_in_use(*end->generation, in_use);
  });
  return former_.empty();
}

}  // namespace finhold::server
