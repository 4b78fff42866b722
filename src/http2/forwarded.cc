#include "http2/forwarded.h"

#include <algorithm>
#include <cctype>

#include "http2/field_reader.h"

namespace finhold::http2 {
namespace {

bool is_for(std::string_view name) {
  return name.size() == 3 && std::tolower(name[0]) == 'f' && std::tolower(name[1]) == 'o' &&
         std::tolower(name[2]) == 'r';
}

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
  constexpr std::size_t most = 1024;
  if (header.size() > most) return std::nullopt;
  FieldReader reader(header);
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

}  // namespace finhold::http2
