// What the first bytes of a connection say of its other end: TLS, or HTTP/2 without it. So that one
// end whose `tls` is "off", and whose other end's is not, can tell what to set.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "http2/endpoint.h"

namespace finhold::tunnel {

enum class DetectedProtocol : std::uint8_t { none_yet, tls, http2, other };

// Of the first that was received; not none_yet.
[[nodiscard]] DetectedProtocol detect_protocol(std::span<const std::byte> received);

// Why an end of that role cannot be connected to one that has begun so, and what to write in the
// configuration; empty: that is not the reason.
[[nodiscard]] std::string why_no_match(http2::Endpoint::Role role, bool has_tls,
                                       DetectedProtocol of_other_end);

}  // namespace finhold::tunnel
