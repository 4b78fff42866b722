// What [admin] tells of a finhold besides what its workers report.
#pragma once

#include <cstdint>
#include <span>

#include "admin/facts.h"
#include "app/config.h"
#include "app/worker.h"

namespace finhold::app {

// `bound`: for each worker.
admin::Facts facts_of(const Config& config, std::span<const BoundSockets> bound,
                      std::uint32_t most_sessions);

}  // namespace finhold::app
