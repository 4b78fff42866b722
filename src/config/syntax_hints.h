// What a person should do about a file that is not TOML.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace finhold::config {

// Puts what the TOML parser says about a place in the text (line and column count from 1) into the
// words of somebody who looks at that line: the usual slips get their cure, such as the quotes that
// are missing around 127.0.0.1:7000; for the others the parser speaks.
std::string explain_syntax_error(std::string_view text, std::size_t line, std::size_t column,
                                 std::string_view description);

}  // namespace finhold::config
