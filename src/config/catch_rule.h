// The items of `catch` and `spare`, as people write them.
#pragma once

#include <string_view>

#include "base/result.h"
#include "relay/traffic.h"

namespace finhold::config {

// "10.0.0.0/8:514", "192.0.2.7:7000-7010", "[2001:db8::/32]:514", ":514" (any destination),
// "10.0.0.0/8" (every port), "user:app" (looked up: find_user), "user:1000". The mistake says what
// is allowed.
base::Result<relay::Traffic, base::Mistake> parse_traffic(std::string_view text);

}  // namespace finhold::config
