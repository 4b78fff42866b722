// The same two programs, directly and through finhold, and whether that is the same to them.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "simulation/scenario.h"

namespace finhold::simulation {

struct Result {
  std::array<Seen, 2> seen;              // by base::index(Side)
  std::array<std::uint64_t, 2> taken{};  // bytes of each that finhold's machine has acknowledged
  std::array<bool, 2> ended{};           // its FIN has come to finhold's machine
  std::string ending;                    // of finhold's session
  Time over_at = 0;                      // when its session was over; 0: there was none
  // What no run may show, whatever the network does: a sentence, or nothing.
  std::string broken;
  std::string trace;  // if it was asked for
};

Result run_through_finhold(const Scenario& scenario, bool traced);

// Without finhold, and without whatever is wrong with the network. `faster`: all delays are so many
// times shorter, since what a program sees may depend on who is first; `late`: how much later the
// server comes to its program.
Result run_directly(const Scenario& scenario, std::uint64_t faster, Time late, bool traced);

// What the rules do not allow; empty: nothing.
std::string mistake_of(const Scenario& scenario, const Result& through);

}  // namespace finhold::simulation
