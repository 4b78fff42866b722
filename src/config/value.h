// What may stand behind a key of the configuration, and reading it.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "config/keys.h"

namespace finhold::config {

// What the key takes, as the end of a sentence that begins with "write": "a duration from 1s to
// 32767s in whole seconds".
std::string allowed(const Key& key);

// A list of one item, as a file has it.
std::string_view list_example(const Key& key);

// Reads what a file has in a string or as a whole number, or what a flag was given. The mistake
// quotes the text and says what is allowed. Of a list: one item of it.
base::Result<Value, base::Mistake> parse_value(const Key& key, std::string_view text);

}  // namespace finhold::config
