// What [admin] tells of a finhold besides what its workers report.
#pragma once

#include <vector>

#include "admin/facts.h"
#include "config/config.h"
#include "server/listen_plan.h"

namespace finhold::server {

// Version and routes. `places`: as listen_places() of the config, bound.
admin::Facts facts_of(const config::Config& config, const std::vector<ListenPlace>& places);

}  // namespace finhold::server
