// The error codes of HTTP/2 (RFC 9113 section 7), as RST_STREAM and GOAWAY carry them.
#pragma once

#include <cstdint>

namespace finhold::http2 {

// Another side may send any number: to be compared, not listed exhaustively.
enum class ErrorCode : std::uint32_t {
  no_error = 0x0,
  protocol_error = 0x1,
  internal_error = 0x2,
  flow_control_error = 0x3,
  settings_timeout = 0x4,
  stream_closed = 0x5,
  frame_size_error = 0x6,
  refused_stream = 0x7,  // not processed: the same request may be tried again
  cancel = 0x8,
  compression_error = 0x9,
  connect_error = 0xA,  // the TCP connection of a CONNECT was reset
  enhance_your_calm = 0xB,
  inadequate_security = 0xC,
  http_1_1_required = 0xD,
};

// "PROTOCOL_ERROR", as the RFC writes it.
[[nodiscard]] const char* name_of(ErrorCode code);

}  // namespace finhold::http2
