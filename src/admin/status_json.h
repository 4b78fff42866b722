// What the status page shows, as JSON: README.md describes it, and only ever adds to it.
#pragma once

#include <string>

#include "admin/collector.h"
#include "admin/facts.h"

namespace finhold::admin {

// Sizes in bytes, times in seconds.
std::string status_json(const Facts& facts, const Reports& reports, bool stopping);

}  // namespace finhold::admin
