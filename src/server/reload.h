// Reads the configuration of a running finhold again.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "app/cli.h"
#include "app/generation.h"
#include "app/preparation.h"

namespace finhold::app {

// What runs.
struct Running {
  CommandWords words;  // that it was started with
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

}  // namespace finhold::app
