// What is known of a finhold before anybody asks how it fares.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace finhold::admin {

struct RouteFacts {
  std::string name;
  std::string listen = {};          // where it really listens
  std::string server = {};          // empty: where each client was going, or what near ends ask for
  std::string tunnel = {};          // empty: none
  bool is_far = false;              // a [[far]], and no [[route]]
  std::string crosses = {};         // as a file has it
  std::uint32_t most_sessions = 0;  // 0: no limit of its own
  bool is_removed = false;          // by a reload; all but the name is empty
};

// Of the kernel, that --apply-rules has loaded.
struct RulesFacts {
  bool missing = false;        // some of them, at the moment
  std::uint64_t restored = 0;  // how often somebody had removed them
};

struct Facts {
  std::string version;
  std::chrono::system_clock::time_point started;
  std::chrono::steady_clock::time_point up_since;    // the same, and no date that is set changes it
  std::chrono::system_clock::time_point configured;  // read what it runs with
  bool reload_failed = false;                        // the last one, so there is a newer file
  std::uint32_t most_sessions = 0;
  bool ready_with_tunnels = true;   // only while each tunnel of a route has a connection
  std::optional<RulesFacts> rules;  // nothing: finhold has loaded none
  std::vector<RouteFacts> routes;   // in the order of the configuration
};

}  // namespace finhold::admin
