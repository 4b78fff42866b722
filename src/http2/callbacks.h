// What nghttp2 calls, and what it is given. Only for tunnel/http2*.cc, beside which nothing
// includes nghttp2.
#pragma once

#include <string_view>

#include <nghttp2/nghttp2.h>

#include "tunnel/http2.h"

namespace finhold::tunnel {

// The session of `http2`, which outlives it.
nghttp2_session* make_http2_session(Http2& http2, Http2::Role role);

// A header field. The name is a literal; the value is copied when it is submitted. A `private_one`
// never enters a compression table (RFC 7541 section 7.1.3): a secret, or a value that never comes
// again.
nghttp2_nv http2_field(std::string_view name, std::string_view value, bool private_one = false);

// Where the DATA of a stream comes from.
nghttp2_data_provider http2_source(Http2Stream& stream);

}  // namespace finhold::tunnel
