// /status.json, for a terminal.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace finhold::admin {

// `columns`, `rows`: what fits; nothing is cut where they are 0. `before`: an earlier answer, or
// empty; with it rates are shown. Nothing: `json` is no answer of finhold's.
std::optional<std::string> status_text(std::string_view json, std::string_view before,
                                       std::size_t columns, std::size_t rows);

}  // namespace finhold::admin
