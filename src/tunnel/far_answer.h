// What a far end answers a request that becomes no session, and what that makes of the near end's.
#pragma once

#include "core/ending.h"
#include "http2/proxy_status.h"

namespace finhold::tunnel {

// The status, and the error in Proxy-Status.
struct FarAnswer {
  int status;
  http2::ProxyError error;
};

namespace answer {

inline constexpr FarAnswer bad_request{400, http2::ProxyError::http_request_error};
inline constexpr FarAnswer not_allowed{403, http2::ProxyError::http_request_denied};
inline constexpr FarAnswer needs_token{407, http2::ProxyError::http_request_denied};
inline constexpr FarAnswer prohibited{403, http2::ProxyError::destination_ip_prohibited};
inline constexpr FarAnswer unresolved{502, http2::ProxyError::dns_error};
inline constexpr FarAnswer look_up_timeout{504, http2::ProxyError::dns_timeout};
inline constexpr FarAnswer refused{502, http2::ProxyError::connection_refused};
inline constexpr FarAnswer unreachable{502, http2::ProxyError::destination_ip_unroutable};
inline constexpr FarAnswer server_timeout{504, http2::ProxyError::connection_timeout};
inline constexpr FarAnswer no_room{503, http2::ProxyError::connection_limit_reached};
inline constexpr FarAnswer failed_here{503, http2::ProxyError::proxy_internal_error};

}  // namespace answer

// Of a session that could not be connected.
FarAnswer far_answer(core::Ending why);

// At the near end. Other proxies have other reasons for the same status, where they name none:
// what is the nearest.
core::Ending ending_of(FarAnswer answer);

}  // namespace finhold::tunnel
