// Messages of the other side that cost OpenSSL far more to decode than their bytes, which it does
// before it knows anything of who sends them. Pure. Private to tls/.
#pragma once

#include <cstddef>
#include <span>

namespace finhold::tls {

// A whole handshake message (RFC 8446 section 4), with its header. Null, or why it is not to be
// decoded: words that begin with a verb, of who has sent it.
// - Certificate: more than ten of them; a public key that is a point of an elliptic curve other
//   than P-256, P-384 and P-521 by their names, or one that is compressed (RFC 5480 section 2.2
//   lets us refuse those). To decompress a point takes a square root modulo a prime: 0.7 ms for
//   secp224r1, in a certificate of 84 bytes, and 130 ms where somebody has chosen the field for it.
//   A key of DSA takes 0.2 ms, in 62 bytes.
// - ClientHello: more than 64 signature algorithms (section 4.2.3), each of which OpenSSL compares
//   with all of its own: 12 ms for 3800 in a hello of 7.7 KB.
// - CompressedCertificate (RFC 8879): any. Built with OpenSSL 3.0 we cannot tell a later one to
//   offer none.
[[nodiscard]] const char* why_too_dear(std::span<const std::byte> message);

// Makes OpenSSL refuse it, after why_too_dear() has.
void spoil(std::span<std::byte> message);

// Of certificates in DER, wherever they stand, however lengths in them are written; what looks like
// such a key and is none counts, too.
[[nodiscard]] bool has_unknown_point(std::span<const std::byte> certificates);

}  // namespace finhold::tls
