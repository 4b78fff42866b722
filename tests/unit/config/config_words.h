// What finhold says about the text of a configuration file, for tests.
#pragma once

#include <string>

#include "config/file.h"

namespace finhold::test {

inline const std::string good_route =
    "[[route]]\n"
    "name = \"a\"\n"
    "listen = \"127.0.0.1:7000\"\n"
    "server = \"10.0.0.5:7000\"\n";

// What is said about a text, a line for each problem, without the name of the file and the count.
inline std::string said(const std::string& text) {
  const auto loaded = config::load_config_text(text);
  if (loaded.ok()) return "ok\n";
  std::string lines;
  for (const auto& problem : loaded.error()) {
    lines += std::to_string(problem.line) + ":" + std::to_string(problem.column) + ": " +
             problem.what + "\n";
  }
  return lines;
}

}  // namespace finhold::test
