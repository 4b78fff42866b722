#include "config/syntax_hints.h"

#include <algorithm>

#include "config/keys.h"
#include "config/messages.h"

namespace finhold::config {
namespace {

constexpr auto npos = std::string_view::npos;

bool contains(std::string_view text, std::string_view part) { return text.find(part) != npos; }

std::string_view trimmed(std::string_view text) {
  const auto begin = text.find_first_not_of(" \t\r");
  if (begin == npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1);
}

std::string_view line_of(std::string_view text, std::size_t line) {
  for (; line > 1; --line) {
    const auto end = text.find('\n');
    if (end == npos) return {};
    text.remove_prefix(end + 1);
  }
  return text.substr(0, text.find('\n'));
}

// What the parser put in '' in its description.
std::string_view name_in(std::string_view description) {
  const auto begin = description.find('\'');
  const auto end = description.find('\'', begin + 1);
  if (begin == npos || end == npos) return "it";
  return description.substr(begin + 1, end - begin - 1);
}

std::string second_time(std::string_view line, std::string_view description) {
  const std::string name = printable(name_in(description));
  if (contains(description, "as array-of-tables") || contains(description, "existing array")) {
    return "[" + name + "] and [[" + name + "]] cannot stand in one file; write [[" + name +
           "]], in two pairs of brackets, every time";
  }
  if (line.starts_with('[')) {
    return "[" + name + "] stands a second time; put its keys below the first one";
  }
  return in_quotes(name) + " stands a second time; keep one of the two";
}

// Whether a key's value is no secret for sure.
bool may_be_repeated(std::string_view key) {
  const auto last = trimmed(key.substr(key.rfind('.') + 1));  // npos + 1 is 0
  const auto keys = known_keys();
  return std::any_of(keys.begin(), keys.end(), [last](const Key& known) {
    return known.name == last && known.kind != Kind::secret;
  });
}

// A line  key = value  whose value the parser could not read; "" if there is no cure for it.
std::string cure_of_value(std::string_view key, std::string_view value,
                          std::string_view description) {
  if (value.empty()) return in_quotes(key) + " has no value; write one after the \"=\"";
  if (value.starts_with("\u201C") || value.starts_with("\u201D") || value.starts_with("\u2018")) {
    return "the quotes around this value are curly ones; write plain ones: \"";
  }
  if (contains(description, "inline table")) {
    return "a table in { } stands on one line, as { key = value, key = value }, with no comma "
           "before the }";
  }
  if (contains(description, "control characters")) {
    return "this string does not end; close it with the same quote on the same line";
  }
  const bool number = value.find_first_not_of("0123456789+-_.") == npos && !value.ends_with('.') &&
                      value.find('.') == value.rfind('.');
  if (!number && !contains("\"'[{", value.substr(0, 1))) {
    const auto word = trimmed(value.substr(0, value.find('#')));
    if (!contains(word, "\"")) {
      return "text stands in quotes; write " + printable(key) + " = " +
             (may_be_repeated(key) ? in_quotes(word) : "\"...\"");
    }
  }
  return {};
}

}  // namespace

std::string explain_syntax_error(std::string_view text, std::size_t line, std::size_t column,
                                 std::string_view description) {
  if (contains(description, "utf-8")) {
    return "the file is not UTF-8 text from here on; save it as UTF-8";
  }
  const std::string_view source = trimmed(line_of(text, line));
  if (contains(description, "cannot redefine")) return second_time(source, description);

  const auto equals = source.find('=');
  const bool is_pair = equals != npos && !source.starts_with('[') && !source.starts_with('#');
  if (is_pair && column > equals) {
    auto cure = cure_of_value(trimmed(source.substr(0, equals)), trimmed(source.substr(equals + 1)),
                              description);
    if (!cure.empty()) return cure;
  }
  if (contains(description, "expected '='") || contains(description, "root table")) {
    return "this is not TOML; a line is a [table], a key = value or a # comment";
  }

  constexpr std::string_view preface = "Error while parsing ";
  if (description.starts_with(preface)) description.remove_prefix(preface.size());
  return "this is not TOML; the parser says: " + printable(description);
}

}  // namespace finhold::config
