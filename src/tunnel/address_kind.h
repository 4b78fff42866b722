// Which addresses are not what they seem: some are this host or its link, some stand for others.
#pragma once

#include <cstdint>

#include "base/address.h"
#include "base/network.h"

namespace finhold::tunnel {

enum class AddressKind : std::uint8_t {
  ordinary,
  loopback,    // 127.0.0.0/8, ::1
  link_local,  // 169.254.0.0/16 (where clouds have their metadata), fe80::/10
  no_server,   // unspecified, multicast, broadcast. Linux takes a connection to 0.0.0.0 home.
};

// Of an address that is not IPv4-mapped, whatever its port.
AddressKind kind_of(const base::Address& address);

// Whether a network lies wholly inside one range of that kind; not for `ordinary`.
bool is_inside(const base::Network& inner, AddressKind kind);

// The IPv4 address, with the same port, that an IPv6 one stands for: mapped (RFC 4291 section
// 2.5.5.2), IPv4-compatible (2.5.5.1), IPv4-translated (::ffff:0:0:0/96, RFC 7915's forerunner),
// NAT64 (64:ff9b::/96 of RFC 6052, and 64:ff9b:1::/48 of RFC 8215 as if its prefixes had 96 bits)
// or 6to4 (RFC 3056). Any other as it is.
base::Address stands_for(const base::Address& given);

// Whether an address that stands for another one is that host and no other. A whole site has the
// 6to4 addresses of one IPv4 address, and in 64:ff9b:1::/48 a translator may look for the IPv4
// address elsewhere (RFC 6052 section 2.2).
bool is_same_host(const base::Address& address);

// Whether a network lies wholly inside one of those ranges.
bool is_translated(const base::Network& inner);

}  // namespace finhold::tunnel
