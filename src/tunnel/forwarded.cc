#include "tunnel/forwarded.h"

#include <algorithm>
#include <cctype>

namespace finhold::tunnel {
namespace {

// RFC 9110 section 5.6.2
bool is_token_character(char c) {
  constexpr std::string_view others = "!#$%&'*+-.^_`|~";
  return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
         others.find(c) != std::string_view::npos;
}

bool is_for(std::string_view name) {
  return name.size() == 3 && std::tolower(name[0]) == 'f' && std::tolower(name[1]) == 'o' &&
         std::tolower(name[2]) == 'r';
}

// Reads a header from its front.
class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  [[nodiscard]] bool at_end() const { return text_.empty(); }

  bool take(char c) {
    if (text_.empty() || text_.front() != c) return false;
    text_.remove_prefix(1);
    return true;
  }

  void skip_space() {
    while (take(' ') || take('\t')) {
    }
  }

  // Nothing: there is none.
  std::optional<std::string> token() {
    const auto* const end = std::find_if_not(text_.begin(), text_.end(), is_token_character);
    const std::string taken(text_.begin(), end);
    text_.remove_prefix(taken.size());
    if (taken.empty()) return std::nullopt;
    return taken;
  }

  // A token or a quoted string (RFC 9110 section 5.6.4).
  std::optional<std::string> value() {
    if (!take('"')) return token();
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

 private:
  std::string_view text_;
};

// RFC 7239 section 6
std::optional<base::Address> address_of(const std::string& node) {
  const std::size_t end_of_host = node.starts_with('[') ? node.find(']') : node.find(':');
  const std::size_t colon = node.find(':', end_of_host == std::string::npos ? 0 : end_of_host);
  const std::string host = node.substr(0, colon);
  // A port may be obfuscated too: "_sEcReT".
  const bool has_port = colon != std::string::npos && node[std::min(colon + 1, node.size())] != '_';
  const auto parsed = base::Address::parse(has_port ? node : host + ":0");
  if (!parsed.ok()) return std::nullopt;
  return parsed.value().unmapped();
}

}  // namespace

std::string forwarded_for(const base::Address& client) {
  return "for=\"" + client.unmapped().without_zone().text() + '"';
}

// Forwarded = 1#forwarded-element, each of pairs between semicolons (RFC 7239 section 4).
std::optional<base::Address> forwarded_client(std::string_view header) {
  Reader reader(header);
  std::optional<std::string> client;
  reader.skip_space();
  while (!reader.at_end()) {
    if (reader.take(',')) {
      client.reset();
    } else if (!reader.take(';')) {
      const auto name = reader.token();
      if (!name || !reader.take('=')) return std::nullopt;
      const auto value = reader.value();
      if (!value) return std::nullopt;
      if (is_for(*name)) {
        if (client) return std::nullopt;  // at most once in an element
        client = value;
      }
    }
    reader.skip_space();
  }
  if (!client) return std::nullopt;
  return address_of(*client);
}

}  // namespace finhold::tunnel
