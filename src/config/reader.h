// Reads the text of a configuration file; the only user of the TOML parser.
#pragma once

#include <string_view>

#include "config/file.h"

namespace finhold::config {

// As load_config_text(). Requires lines of bounded length: the parser goes one call deeper for each
// part of a dotted key.
base::Result<Config, Problems> read_config(std::string_view text);

}  // namespace finhold::config
