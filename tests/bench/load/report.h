// What a run found: rates, latencies, and everything that was not as it must be.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "loop.h"

namespace bench {

// The load generator itself cannot go on (errno says why): exit code 3.
[[noreturn]] void die(const char* what);

struct Report {
  // Filled in by the sessions.
  std::uint64_t bytes = 0;  // of bulk flows, each counted once, at its receiver
  std::uint64_t checked = 0;
  std::uint64_t transactions = 0;    // responses that arrived before the end of the run
  std::uint64_t sessions = 0;        // that were begun
  std::uint64_t accepted = 0;        // that reached the server
  std::uint64_t ends_at_client = 0;  // a FIN was read
  std::uint64_t ends_at_server = 0;
  std::uint64_t resets_at_client = 0;  // a RST was read
  std::uint64_t resets_at_server = 0;
  std::vector<std::uint32_t> latencies = {};  // nanoseconds, capped at four seconds
  std::uint64_t errors = 0;
  std::string first_error = {};

  void error(const std::string& what);
  void latency(Clock::duration time);

  // One line of JSON. `seconds`: from the first byte to the last end; `counting_seconds`: in which
  // the transactions were counted.
  void print(const std::string& mode, double seconds, double counting_seconds, double cpu_seconds);
};

}  // namespace bench
