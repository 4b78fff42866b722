// The whole configuration of a running finhold, as plain values: from a file or from flags.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/duration.h"
#include "base/log.h"
#include "config/user.h"
#include "relay/route.h"
#include "tunnel/settings.h"

namespace finhold::config {

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
  std::uint64_t tunnel_window = 1ULL << 20;             // bytes of one stream of a tunnel, one way
  // For routes and far ends that do not say otherwise.
  base::Limit idle;
  std::optional<base::Limit> closing;  // nothing: the time after which a leg counts as vanished
};

// Of a file. Both count from 1; 0 where the file as a whole is meant.
struct Place {
  std::size_t line = 0;
  std::size_t column = 0;
};

struct TunnelConfig {
  tunnel::TunnelSettings settings;
  Place tls;  // where the file says which certificates, whose files are read later
  Place token;
};

struct FarConfig {
  tunnel::FarSettings settings;
  Place tls;
  Place token;
};

struct Admin {
  std::optional<base::Address> listen;  // of the status page; nothing: nothing listens
  bool ready_with_tunnels = true;       // /readyz is not ready without a connection of each
};

struct Config {
  std::optional<User> user;  // to run as, once the listeners stand; nothing: who started it
  bool dumpable = false;     // PR_SET_DUMPABLE
  LogSettings log;
  Limits limits;
  Admin admin;
  // At least one route or far end. Names and listen addresses are unique among both.
  std::vector<relay::Route> routes;
  std::vector<FarConfig> fars;
  std::vector<TunnelConfig> tunnels;  // Route::tunnel counts them; names are unique
  std::string file_mode;  // "0644" if others can read its file; empty: they cannot, or it has none
};

}  // namespace finhold::config
