// What one worker tells when it is asked. A value of the worker's making.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "relay/session_report.h"

namespace finhold::admin {

// Now, of one end of a pair: a [[tunnel]], or a [[far]].
struct EndCounts {
  std::uint64_t connections = 0;  // of a tunnel, those that are ready
  std::uint64_t streams = 0;      // sessions on them

  EndCounts& operator+=(const EndCounts& other) {
    connections += other.connections;
    streams += other.streams;
    return *this;
  }
};

struct WorkerReport {
  relay::SessionReport sessions;
  std::map<std::string, EndCounts> tunnels;  // by name
  std::map<std::string, EndCounts> fars;
};

}  // namespace finhold::admin
