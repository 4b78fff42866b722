// What [admin] tells of a finhold besides what its workers report.
#pragma once

#include <vector>

#include "admin/facts.h"
#include "app/config.h"
#include "app/listen_plan.h"

namespace finhold::app {

// Version and routes. `places`: as listen_places() of the config, bound.
admin::Facts facts_of(const Config& config, const std::vector<ListenPlace>& places);

}  // namespace finhold::app
