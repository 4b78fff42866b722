// What is looked at in the certificates that the other side shows before OpenSSL decodes them,
// which it does before any is judged. Pure. Private to tls/.
#pragma once

#include <cstddef>
#include <span>

namespace finhold::tls {

// Whether some public key in a message Certificate (RFC 8446 section 4.4.2) is of an elliptic curve
// that is told by its parameters, and not named (RFC 5480 section 2.1.1 forbids it). Points of a
// field that somebody has chosen for it may take 130 ms to decompress, in a certificate of 652
// bytes. Looks for the algorithm's identifier wherever it stands, however its length is written;
// what looks alike and is none is refused too.
[[nodiscard]] bool has_own_curve(std::span<const std::byte> message);

}  // namespace finhold::tls
