#include "http2/field_reader.h"

#include <algorithm>
#include <cctype>

namespace finhold::http2 {
namespace {

bool is_token_character(char c) {
  constexpr std::string_view others = "!#$%&'*+-.^_`|~";
  return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
         others.find(c) != std::string_view::npos;
}

}  // namespace

bool FieldReader::take(char c) {
  if (text_.empty() || text_.front() != c) return false;
  text_.remove_prefix(1);
  return true;
}

void FieldReader::skip_space() {
  while (take(' ') || take('\t')) {
  }
}

std::optional<std::string> FieldReader::token(std::string_view more) {
  const auto* const end = std::find_if_not(text_.begin(), text_.end(), [more](char c) {
    return is_token_character(c) || more.find(c) != std::string_view::npos;
  });
  const std::string taken(text_.begin(), end);
  text_.remove_prefix(taken.size());
  if (taken.empty()) return std::nullopt;
  return taken;
}

std::optional<std::string> FieldReader::value(std::string_view more) {
  if (!take('"')) return token(more);
  std::string taken;
  while (!text_.empty()) {
    if (take('"')) return taken;
    static_cast<void>(take('\\'));
    if (text_.empty()) break;
    taken += text_.front();
    text_.remove_prefix(1);
  }
  return std::nullopt;
}

}  // namespace finhold::http2
