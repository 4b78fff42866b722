// Reads a configuration file. Every mistake in it is told, with its place, in one go.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "config/config.h"

namespace finhold::config {

struct Problem {
  std::size_t line = 0;  // both count from 1; 0 where the file as a whole is meant
  std::size_t column = 0;
  std::string what;  // what is wrong, and how to fix it
};

using Problems = std::vector<Problem>;

// The config of a file's text, or at least one problem, in the order of the file. Text that is not
// TOML has just one: nothing sure can be said about what follows it.
base::Result<Config, Problems> load_config_text(std::string_view text);

// The same for a file, which may also be unreadable.
base::Result<Config, Problems> load_config_file(const std::string& path);

// One line for each problem, "path:line:column: what", and one that counts them. Of very many only
// the first ones are told, and how many more there are.
std::string report(std::string_view path, const Problems& problems);

}  // namespace finhold::config
