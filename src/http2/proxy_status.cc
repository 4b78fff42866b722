#include "http2/proxy_status.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <string>

#include "base/check.h"
#include "http2/field_reader.h"

namespace finhold::http2 {
namespace {

// In the order of ProxyError.
constexpr std::array<std::string_view, 14> values = {
    "",
    "finhold; error=dns_timeout",
    "finhold; error=dns_error",
    "finhold; error=destination_not_found",
    "finhold; error=destination_unavailable",
    "finhold; error=destination_ip_prohibited",
    "finhold; error=destination_ip_unroutable",
    "finhold; error=connection_refused",
    "finhold; error=connection_terminated",
    "finhold; error=connection_timeout",
    "finhold; error=connection_limit_reached",
    "finhold; error=http_request_error",
    "finhold; error=http_request_denied",
    "finhold; error=proxy_internal_error",
};
static_assert(values.size() == static_cast<std::size_t>(ProxyError::proxy_internal_error) + 1);

constexpr std::string_view before_error = "finhold; error=";

// What items of RFC 8941 may have besides a token's characters: ":" and "/" in tokens, those of
// base64, dates and booleans.
constexpr std::string_view in_items = ":/=?@";

ProxyError error_named(std::string_view name) {
  const auto* const found = std::find_if(values.begin() + 1, values.end(), [name](auto value) {
    return value.substr(before_error.size()) == name;
  });
  return found == values.end() ? ProxyError::none : static_cast<ProxyError>(found - values.begin());
}

}  // namespace

std::string_view proxy_status_of(ProxyError error) {
  FINHOLD_CHECK(error != ProxyError::none);
  return values[static_cast<std::size_t>(error)];
}

// A list of items with parameters: who it was; error=what (RFC 9209 section 2).
ProxyError proxy_error_in(std::string_view header) {
  FieldReader reader(header);
  ProxyError first = ProxyError::none;
  reader.skip_space();
  while (!reader.at_end()) {
    if (!reader.value(in_items)) return ProxyError::none;
    while (reader.take(';')) {
      reader.skip_space();
      const auto name = reader.token();
      if (!name) return ProxyError::none;
      if (!reader.take('=')) continue;  // true
      const auto value = reader.value(in_items);
      if (!value) return ProxyError::none;
      if (first == ProxyError::none && *name == "error") first = error_named(*value);
    }
    reader.skip_space();
    if (reader.at_end()) return first;
    if (!reader.take(',')) return ProxyError::none;
    reader.skip_space();
    if (reader.at_end()) return ProxyError::none;
  }
  return first;
}

}  // namespace finhold::http2
