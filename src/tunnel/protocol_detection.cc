#include "tunnel/protocol_detection.h"

#include <string_view>

namespace finhold::tunnel {

namespace {

// RFC 8446 section 5.1: an alert or a handshake message, of any version since 1.0.
bool is_tls_record(std::string_view text) {
  return text.size() >= 3 && (text[0] == '\x15' || text[0] == '\x16') && text[1] == '\x03';
}

// RFC 9113 sections 3.4 and 6.5: a client's preface, or a server's SETTINGS, for the connection.
bool is_http2_preface(std::string_view text) {
  if (text.starts_with("PRI * HTTP/2")) return true;
  return text.size() >= 9 && text.substr(0, 2) == std::string_view("\0\0", 2) &&
         text.substr(3, 6) == std::string_view("\4\0\0\0\0\0", 6);
}

}  // namespace

DetectedProtocol detect_protocol(std::span<const std::byte> received) {
  const std::string_view text(reinterpret_cast<const char*>(received.data()), received.size());
  if (is_tls_record(text)) return DetectedProtocol::tls;
  return is_http2_preface(text) ? DetectedProtocol::http2 : DetectedProtocol::other;
}

std::string why_no_match(http2::Endpoint::Role role, bool has_tls, DetectedProtocol of_other_end) {
  const bool near = role == http2::Endpoint::Role::near;
  const std::string here = near ? "[[tunnel]]" : "[[far]]";
  const std::string there = near ? "the far end's [[far]]" : "the near end's [[tunnel]]";
  if (!has_tls && of_other_end == DetectedProtocol::tls) {
    return "the other side speaks TLS, and here it is off: write tls = { ... } in " + here +
           ", as in " + there;
  }
  if (has_tls && of_other_end == DetectedProtocol::http2) {
    return "the other side speaks HTTP/2 without TLS: write tls = { ... } in " + there +
           ", as in " + here;
  }
  return {};
}

}  // namespace finhold::tunnel
