#include "tunnel/far_answer.h"

namespace finhold::tunnel {

using core::Ending;

FarAnswer far_answer(Ending why) {
  switch (why) {
    case Ending::server_refused:
      return answer::refused;
    case Ending::server_unreachable:
      return answer::unreachable;
    case Ending::server_unresolved:
      return answer::unresolved;
    case Ending::server_timeout:
      return answer::server_timeout;
    case Ending::client_limit:
    case Ending::client_rate:
      return answer::no_room;
    default:
      return answer::failed_here;
  }
}

Ending ending_of(FarAnswer answer) {
  switch (answer.error) {
    case http2::ProxyError::dns_error:
    case http2::ProxyError::destination_not_found:
      return Ending::server_unresolved;
    case http2::ProxyError::connection_refused:
    case http2::ProxyError::connection_terminated:
      return Ending::server_refused;
    case http2::ProxyError::destination_ip_unroutable:
    case http2::ProxyError::destination_unavailable:
      return Ending::server_unreachable;
    // As where finhold looks a name up itself.
    case http2::ProxyError::dns_timeout:
    case http2::ProxyError::connection_timeout:
      return Ending::server_timeout;
    case http2::ProxyError::destination_ip_prohibited:
    case http2::ProxyError::http_request_denied:
    case http2::ProxyError::http_request_error:
      return Ending::not_allowed;
    case http2::ProxyError::connection_limit_reached:
    case http2::ProxyError::proxy_internal_error:
      return Ending::far_busy;
    case http2::ProxyError::none:
      break;
  }
  if (answer.status == 502) return Ending::server_refused;
  if (answer.status == 504) return Ending::server_timeout;
  return answer.status >= 500 ? Ending::far_busy : Ending::not_allowed;
}

}  // namespace finhold::tunnel
