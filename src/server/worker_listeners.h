// All that listens on one worker: the listeners of the routes, and the far ends of pairs.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "admin/worker_report.h"
#include "net/descriptor.h"
#include "server/generation.h"
#include "server/route_listener.h"
#include "tunnel/connection_table.h"
#include "tunnel/far.h"

namespace finhold::server {

// The sockets of a route or far end on one worker: those of another one (ListenStep::from), or new
// ones, which listen and are non-blocking.
struct Sockets {
  std::optional<std::size_t> from;
  std::vector<net::Descriptor> opened;  // without `from`
  bool kept = false;                    // by systemd; without `from`
};

// On the worker's thread.
class WorkerListeners {
 public:
  // Everything referred to outlives it.
  WorkerListeners(const RouteListener::Shared& shared, tunnel::ConnectionTable& connections)
      : shared_(shared), connections_(connections) {}
  WorkerListeners(const WorkerListeners&) = delete;
  WorkerListeners& operator=(const WorkerListeners&) = delete;

  // From now on those of that generation listen; `sockets`: for each of listen_places(). Sockets
  // that nobody takes over are closed. Far ends that are not the same any more send their near ends
  // away: their sessions go on.
  void begin(const GenerationRef& generation, std::vector<Sockets> sockets);

  // Nobody listens any more.
  void drain();

  // Adds those of all generations, by their names.
  void count(std::map<std::string, admin::EndCounts>& fars) const;

  // Lets go of far ends of earlier generations that are over, and have no session. `in_use`: by
  // sessions. True: none is left.
  bool forget_former(const std::vector<const relay::Route*>& in_use);

 private:
  struct FarEnd {
    GenerationRef generation;
    tunnel::Far far;
  };
  // Of one route or far end. There is more than one of either if systemd has passed several
  // sockets.
  struct Place {
    std::size_t far = 0;  // which one of the generation's, if it has `fars`
    std::vector<std::unique_ptr<RouteListener>> listeners;
    std::vector<std::unique_ptr<FarEnd>> fars;
    bool kept = false;
  };

  void begin_route(Place& place, const relay::Route& route);
  void begin_far(Place& place, const GenerationRef& generation, std::size_t far);
  void open_listeners(Place& place, const relay::Route& route,
                      std::vector<net::Descriptor> sockets);
  void open_fars(Place& place, const GenerationRef& generation,
                 std::vector<net::Descriptor> sockets);
  std::vector<net::Descriptor> sockets_of(Place& place, const relay::Route& next);
  void part_from(std::vector<std::unique_ptr<FarEnd>>& fars);
  [[nodiscard]] tunnel::Far* in_place_of(const tunnel::Far& former) const;

  const RouteListener::Shared& shared_;
  tunnel::ConnectionTable& connections_;
  GenerationRef generation_;
  std::vector<Place> places_;                    // as listen_places()
  std::vector<std::unique_ptr<FarEnd>> former_;  // drained
};

}  // namespace finhold::server
