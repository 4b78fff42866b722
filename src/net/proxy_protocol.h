// The header of the PROXY protocol, by which a proxy tells the server behind it where a client
// comes from. Both versions, reading and writing, without a socket. The specification is HAProxy's
// doc/proxy-protocol.txt (Debian: /usr/share/doc/haproxy/proxy-protocol.txt.gz), "PP" below.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "base/address.h"

namespace finhold::net {

// What is longer is refused. A v1 line has at most 107 bytes (PP 2.1); a v2 header may have 65551,
// but should fit in 536 (PP 2), and those with long certificate names in their TLVs do fit in this.
constexpr std::size_t longest_proxy_header = 4096;

struct AddressPair {
  base::Address source;
  base::Address destination;
};

// What the first bytes of a connection are.
struct ProxyHeaderRead {
  enum class What : std::uint8_t {
    needs_more,  // the beginning of a header
    invalid,     // no header; more bytes change nothing
    complete,
  };
  What what = What::needs_more;
  const char* mistake = "";  // of an invalid one: a string literal, "the port is not ..."
  std::size_t length = 0;    // of a complete one: bytes; what follows is the client's
  // Of a complete one. Nothing: the connection's own addresses hold. So it is with v1 UNKNOWN and
  // v2 LOCAL, where the proxy itself is the client, and with v2 families other than TCP over IPv4
  // and IPv6, for which the specification asks for that (PP 2.2).
  std::optional<AddressPair> addresses;
};

// Both versions are told apart by their first byte. Of the TLVs of a v2 header a CRC32C is
// verified, and all others are skipped; they must be well-formed. Those of LOCAL headers and other
// families are skipped unseen.
ProxyHeaderRead read_proxy_header(std::span<const std::byte> bytes);

enum class ProxyVersion : std::uint8_t { v1, v2 };

// At most 107 bytes. IPv4-mapped addresses are written as IPv4, unless the other of the pair is a
// real IPv6 address: a header has one family for both, so then both are written as IPv6.
std::string proxy_header(ProxyVersion version, const AddressPair& addresses);

}  // namespace finhold::net
