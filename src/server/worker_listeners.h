// All that listens on one worker: the doors of the routes, and the far ends of pairs.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "admin/worker_report.h"
#include "app/door.h"
#include "app/generation.h"
#include "net/descriptor.h"
#include "tunnel/connection_table.h"
#include "tunnel/far.h"

namespace finhold::app {

// The sockets of a route or far end on one worker: those of another one (ListenStep::from), or new
// ones, which listen and are non-blocking.
struct Sockets {
  std::optional<std::size_t> from;
  std::vector<net::Descriptor> opened;  // without `from`
  bool kept = false;                    // by systemd; without `from`
};

// On the worker's thread.
class Doors {
 public:
  // Everything referred to outlives it.
  Doors(const Door::Shared& shared, tunnel::ConnectionTable& connections)
      : shared_(shared), connections_(connections) {}
  Doors(const Doors&) = delete;
  Doors& operator=(const Doors&) = delete;

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
  struct Entrance {
    std::size_t far = 0;  // which one of the generation's, if it has `fars`
    std::vector<std::unique_ptr<Door>> doors;
    std::vector<std::unique_ptr<FarEnd>> fars;
    bool kept = false;
  };

  void begin_route(Entrance& entrance, const relay::Route& route);
  void begin_far(Entrance& entrance, const GenerationRef& generation, std::size_t far);
  void open_doors(Entrance& entrance, const relay::Route& route,
                  std::vector<net::Descriptor> sockets);
  void open_fars(Entrance& entrance, const GenerationRef& generation,
                 std::vector<net::Descriptor> sockets);
  std::vector<net::Descriptor> sockets_of(Entrance& entrance, const relay::Route& next);
  void part_from(std::vector<std::unique_ptr<FarEnd>>& fars);
  [[nodiscard]] tunnel::Far* in_place_of(const tunnel::Far& former) const;

  const Door::Shared& shared_;
  tunnel::ConnectionTable& connections_;
  GenerationRef generation_;
  std::vector<Entrance> entrances_;              // as listen_places()
  std::vector<std::unique_ptr<FarEnd>> former_;  // drained
};

}  // namespace finhold::app
