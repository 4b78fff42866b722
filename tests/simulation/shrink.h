// Makes a scenario that shows a mistake small enough for a person.
#pragma once

#include <string>

#include "simulation/scenario.h"

namespace finhold::simulation {

// What is wrong with a scenario; empty: nothing.
std::string mistake_in(const Scenario& scenario);

// The smallest scenario that still has the same mistake: one thing after the other is taken away,
// as long as that is so.
Scenario shrunk(Scenario scenario);

}  // namespace finhold::simulation
