// Which routes are told of: a session outlives its route when a reload removes that.
#pragma once

#include <utility>
#include <vector>

#include "admin/collector.h"
#include "admin/facts.h"

namespace finhold::admin {

// Those of the facts, in their order; then those that are not in them any more and still have open
// sessions, by name. What they were is forgotten, but for the name.
std::vector<std::pair<RouteFacts, relay::RouteCounts>> reported_routes(const Facts& facts,
                                                                       const Reports& reports);

}  // namespace finhold::admin
