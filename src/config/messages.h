// Pieces of the sentences that tell a person what is wrong with a configuration or a command line.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace finhold::config {

// In double quotes, fit to be shown on a terminal: control characters as \u001B, and only the
// beginning of a very long text.
std::string in_quotes(std::string_view text);

// Without quotes and uncut, control characters as \u001B: a file or a flag must not be able to
// paint the terminal of the person who checks it.
std::string printable(std::string_view text);

// "a", "a and b", "a, b and c", with that word before the last.
std::string listed(std::span<const std::string> names, std::string_view last_word);

// What to do where the kernel has not enough of something (EMFILE, ENOMEM, ...), which that errno
// says; empty for any other.
std::string cure_of_want(int code);

// The known name that was most likely meant by what was typed; nothing if none is near enough.
// Differences in case, and - for _, count for nothing.
std::optional<std::string_view> nearest_name(std::string_view typed,
                                             std::span<const std::string_view> known);

}  // namespace finhold::config
