// What the sessions of one worker need of the configuration: the generation that each of them began
// with, and the near ends of the tunnels in it.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "admin/worker_report.h"
#include "net/loop.h"
#include "net/poller.h"
#include "net/resolver.h"
#include "net/timers.h"
#include "relay/leg.h"
#include "relay/route.h"
#include "relay/session.h"
#include "server/generation.h"
#include "tunnel/connection_table.h"
#include "tunnel/near.h"

namespace finhold::server {

// On the worker's thread. Outlives the sessions, and is outlived by the connections' table.
class GenerationsInUse {
 public:
  // Everything referred to outlives it.
  GenerationsInUse(tunnel::ConnectionTable& connections, net::Loop& loop, net::Poller& poller,
                   net::Timers& timers)
      : connections_(connections), loop_(loop), poller_(poller), timers_(timers), resolver_(loop) {}
  GenerationsInUse(const GenerationsInUse&) = delete;
  GenerationsInUse& operator=(const GenerationsInUse&) = delete;

  // New sessions are of that generation. A tunnel that is not the same any more gets a near end of
  // its own, and the former one is drained.
  void begin(const GenerationRef& generation);

  // Leads to the server of a session of any generation that is in use; nullptr: it dials.
  std::unique_ptr<relay::Leg> leg_to_server(const relay::Session& session);

  // As often as the most impatient route of those in use sends its keepalives.
  [[nodiscard]] net::Instant check_every_ms() const;

  void drain();

  // Adds those of all generations, by their tunnels' names.
  void count(std::map<std::string, admin::EndCounts>& tunnels) const;

  // Lets go of generations that no session has, and of near ends that are over. `in_use`: by
  // sessions. True: nothing is left of earlier ones.
  bool forget_former(const std::vector<const relay::Route*>& in_use);

 private:
  struct NearEnd {
    GenerationRef generation;
    tunnel::Near near;
  };
  struct InUse {
    GenerationRef generation;
    std::vector<NearEnd*> nears;  // as Config::tunnels; nullptr: no route uses it
  };

  NearEnd* open(const GenerationRef& generation, std::size_t tunnel);
  [[nodiscard]] bool is_needed(const NearEnd& end) const;

  tunnel::ConnectionTable& connections_;
  net::Loop& loop_;
  net::Poller& poller_;
  net::Timers& timers_;
  net::Resolver resolver_;
  std::vector<std::unique_ptr<NearEnd>> nears_;
  std::vector<InUse> in_use_;  // the newest is the last; never empty after the first begin()
};

}  // namespace finhold::server
