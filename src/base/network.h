// A range of IPv4 or IPv6 addresses that share a prefix, as people write it: "10.0.0.0/8".
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/address.h"
#include "base/result.h"

namespace finhold::base {

// 18 bytes, no allocation. IPv4-mapped IPv6 addresses (RFC 4291 section 2.5.5.2) count as the IPv4
// addresses that they stand for, here and there: "::ffff:10.0.0.0/104" is "10.0.0.0/8", and "::/0"
// contains no IPv4 address.
class Network {
 public:
  // "10.0.0.0/8", "2001:db8::/32", or one address alone: "192.0.2.7". Bits set behind the prefix
  // are a mistake, since it is not sure what was meant.
  static Result<Network, Mistake> parse(std::string_view text);

  // The one with that address: all of an IPv4 address, so many first bits of an IPv6 one. Requires
  // at most 128.
  static Network around(const Address& address, unsigned v6_prefix);

  // What counts as one source of connections: an IPv4 address, or an IPv6 network of 56 bits, since
  // whoever has one address of it may well have them all: it is what a home is given (RFC 6177).
  static Network of_source(const Address& address);

  // Whatever the port.
  [[nodiscard]] bool contains(const Address& address) const;

  // Whether all of the other's addresses are in this one.
  [[nodiscard]] bool contains(const Network& other) const;

  [[nodiscard]] bool is_one_address() const { return prefix_ == (v4_ ? 32 : 128); }

  // The same for equal ones and the same seed; who does not know the seed cannot choose it.
  [[nodiscard]] std::uint64_t hash(std::uint64_t seed) const;

  [[nodiscard]] int family() const { return v4_ ? AF_INET : AF_INET6; }

  // As parse() takes it; one address alone without its prefix.
  [[nodiscard]] std::string text() const;

  friend bool operator==(const Network&, const Network&) = default;

 private:
  Network() = default;

  std::array<std::uint8_t, 16> bytes_{};  // the first four of an IPv4 network
  std::uint8_t prefix_ = 0;               // bits
  bool v4_ = false;
};

}  // namespace finhold::base
