// The Proxy-Status header (RFC 9209): a far end tells its near end by it why there is no session.
#pragma once

#include <cstdint>
#include <string_view>

namespace finhold::http2 {

// The types of error that mean something for a session (RFC 9209 section 2.3).
enum class ProxyError : std::uint8_t {
  none,  // no such header, or none of these
  dns_timeout,
  dns_error,
  destination_not_found,
  destination_unavailable,
  destination_ip_prohibited,
  destination_ip_unroutable,
  connection_refused,
  connection_terminated,
  connection_timeout,
  connection_limit_reached,
  http_request_error,
  http_request_denied,
  proxy_internal_error,
};

// The value of the header: "finhold; error=dns_error". Requires an error.
std::string_view proxy_status_of(ProxyError error);

// The error of the proxy that is the nearest to the server: of the first member that has one. A
// header that is malformed is as good as none (RFC 8941 section 4.2).
ProxyError proxy_error_in(std::string_view header);

}  // namespace finhold::http2
