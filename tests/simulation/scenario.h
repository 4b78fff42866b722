// What a seed decides: the network, finhold's route, and what the two programs do.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "relay/route.h"
#include "simulation/application.h"
#include "simulation/connection.h"
#include "simulation/network.h"

namespace finhold::simulation {

// One system call of finhold's that fails, though nothing else is wrong.
struct Fault {
  std::uint64_t at = 0;     // the how-manyth that can; 0: none does
  std::uint64_t which = 0;  // of the errors that it may fail with
};

struct Scenario {
  std::uint64_t seed = 0;
  Script client;
  Script server;
  PathOptions client_path;  // between the client and finhold
  PathOptions server_path;  // between finhold and the server
  Server answers = Server::listens;
  bool client_is_local = false;  // on finhold's machine
  bool server_is_local = false;
  std::array<Buffers, 4> buffers{};  // of the client, finhold's two, and the server
  Time lag = 0;                      // of finhold's worker
  Fault fault;
  relay::Splicing splicing = relay::Splicing::automatic;
  relay::Route route;

  // Nothing is lost on the way but what a box forgets.
  [[nodiscard]] bool network_is_well() const;
};

Scenario scenario_of(std::uint64_t seed);

// For a person, several lines.
std::string describe(const Scenario& scenario);

}  // namespace finhold::simulation
