// What is looked at in the certificates that the other side shows before OpenSSL decodes them,
// which it does before any is judged. Pure. Private to tls/.
#pragma once

#include <cstddef>
#include <span>

namespace finhold::tls {

// Whether some public key in a message Certificate (RFC 8446 section 4.4.2) is a point of an
// elliptic curve other than P-256, P-384 and P-521 by their names, or one that is compressed (RFC
// 5480 section 2.2 lets us refuse those). To decompress a point takes a square root modulo a prime:
// 0.7 ms for secp224r1, in a certificate of 84 bytes, and 130 ms where somebody has chosen the
// field for it. Looks for the algorithm's identifier wherever it stands, however its length is
// written; what looks alike and is none is refused too.
[[nodiscard]] bool has_unknown_point(std::span<const std::byte> message);

}  // namespace finhold::tls
