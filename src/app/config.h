// The whole configuration of a running finhold, as plain values: from a file or from flags.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "app/user.h"
#include "base/duration.h"
#include "base/log.h"
#include "relay/route.h"
#include "relay/scratch.h"

namespace finhold::app {

struct LogSettings {
  base::log::Level level = base::log::Level::info;
  base::log::Format format = base::log::Format::text;
};

struct Limits {
  std::uint32_t sessions = 20'000;               // open at once, in the whole process
  std::uint64_t buffer_per_flow = 256ULL << 10;  // bytes that one flow may keep in user memory
  std::uint32_t workers = 0;                     // threads; 0 ("auto") = one for each usable CPU
  relay::Splicing splice = relay::Splicing::automatic;
  base::Milliseconds drain = std::chrono::seconds(30);  // how long SIGTERM waits for sessions
};

struct Config {
  std::optional<User> user;  // to run as, once the listeners stand; nothing: who started it
  LogSettings log;
  Limits limits;
  std::vector<relay::Route> routes;  // at least one; names and listen addresses are unique
};

}  // namespace finhold::app
