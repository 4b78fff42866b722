// What a reload of the configuration cannot change. Pure.
#pragma once

#include <string_view>
#include <vector>

#include "config/config.h"

namespace finhold::server {

// Gives `next` the values of the running config in all that lasts as long as the process. Returns
// the keys that were to be other ones, in the order of the file's documentation.
std::vector<std::string_view> keep_unreloadable_settings(const config::Config& running,
                                                         config::Config& next);

}  // namespace finhold::server
