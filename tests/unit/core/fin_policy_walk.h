// Walks every state of the closing rules that can be reached, with every event that is possible
// there.
#pragma once

#include <string>
#include <vector>

#include "core/fin_policy.h"

namespace finhold::tests {

struct Transition {
  std::size_t from;  // index into Walk::states
  core::Event event;
  core::Actions actions;
  std::size_t to;
};

struct Walk {
  std::vector<core::FinPolicy> states;  // states[0] is the beginning
  std::vector<Transition> transitions;
};

Walk walk(const core::FinSettings& settings);

// Every combination of `crosses` and of the limits: unset, 0 and set, where that makes a
// difference.
std::vector<core::FinSettings> every_setting();

std::string text(core::Event event);
std::string text(const core::Actions& actions);
std::string text(const core::FinPolicy& state);

// The state table of a setting, as the golden copy beside the code has it.
std::string table(const core::FinSettings& settings);

}  // namespace finhold::tests
