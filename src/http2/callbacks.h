// What nghttp2 calls, and what it is given. Only for http2/endpoint*.cc, beside which nothing
// includes nghttp2.
#pragma once

#include <string_view>

#include <nghttp2/nghttp2.h>

#include "http2/endpoint.h"

namespace finhold::http2 {

// The session of `http2`, which outlives it.
nghttp2_session* make_http2_session(Endpoint& http2, Endpoint::Role role);

// A header field. The name is a literal; the value is copied when it is submitted. A `private_one`
// never enters a compression table (RFC 7541 section 7.1.3): a secret, or a value that never comes
// again.
nghttp2_nv http2_field(std::string_view name, std::string_view value, bool private_one = false);

// Where the DATA of a stream comes from.
nghttp2_data_provider http2_source(Stream& stream);

}  // namespace finhold::http2
