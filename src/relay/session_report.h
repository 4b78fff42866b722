// What one worker tells of its sessions: the numbers of all, the state of some. A value, made on
// the worker's thread; from then on it is whoever's asked for it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/address.h"
#include "core/end_lessons.h"
#include "core/fin_policy.h"
#include "net/loop.h"
#include "relay/route_counts.h"

namespace finhold::relay {

class Session;

// Each name is what it says of the session; times are in milliseconds.
struct SessionState {
  enum class Phase : std::uint8_t { announcing, dialing, relaying, closing };

  struct Flow {
    core::FlowState state = core::FlowState::flowing;
    core::Release release = core::Release::none;
    std::uint64_t bytes = 0;
    bool blocked = false;       // bytes wait for a slow sink
    net::Instant ended_ms = 0;  // since its end was read; 0 while it flows
    net::Instant held_ms = 0;   // how long its FIN is, or was, held
    // Of a held one, "auto": how long the other way is to be silent, or 0; and what that is so for.
    net::Instant quiet_ms = 0;
    core::EndNeeds needs = {};
  };

  std::uint64_t id = 0;
  std::string route;
  base::Address client;
  std::string server;  // as the ending line has it
  Phase phase = Phase::dialing;
  net::Instant age_ms = 0;
  bool half_closed = false;
  std::array<Flow, 2> flows{};  // by base::Flow
};

struct SessionReport {
  std::unordered_map<std::string, RouteCounts> routes;  // by name; those that have had a session
  std::vector<SessionState> sessions;                   // in no order
};

// How many sessions a report lists: so many half-closed ones, and as many others.
constexpr std::size_t most_listed = 500;

// Adds what a session has done so far; not its ending.
void count_done(const Session& session, RouteCounts& counts);

// Adds what it is doing now. Requires that it has not retired.
void count_now(const Session& session, RouteCounts& counts);

// Requires that it has not retired.
SessionState state_of(const Session& session, net::Instant now);

}  // namespace finhold::relay
