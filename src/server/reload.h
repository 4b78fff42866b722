// Reads the configuration of a running finhold again.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "config/config.h"
#include "server/generation.h"
#include "server/preparation.h"

namespace finhold::server {

// The configuration, read again as at the start: its file, and the flags that win over that.
struct NextConfig {
  std::optional<config::Config> config;
  std::string path;                   // of the file; empty: finhold was started without one
  std::vector<std::string> mistakes;  // of the file or the flags: why there is no config
};
using ReadConfig = std::function<NextConfig()>;

// What runs.
struct Running {
  const ReadConfig& read_config;
  const Generation& generation;
  const std::vector<ListenPlace>& places;
  std::uint32_t workers = 1;
  bool keeps_rules = false;  // it has loaded those of the generation by itself
};

struct Reload {
  GenerationRef generation;
  Listening listening;
};

// All that can fail of a reload, before any worker is told. Nothing: it has failed, nothing was
// changed, and lines in the log say why; each mistake of the file with its place. On the main
// thread.
std::optional<Reload> prepare_reload(const Running& running);

}  // namespace finhold::server
