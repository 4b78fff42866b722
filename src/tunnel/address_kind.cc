#include "tunnel/address_kind.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <string_view>
#include <vector>

namespace finhold::tunnel {
namespace {

using base::Address;
using base::Network;

Network network(std::string_view text) {
  auto parsed = Network::parse(text);
  FINHOLD_CHECK(parsed.ok());
  return parsed.value();
}

struct Range {
  Network network;
  AddressKind kind;
};

const std::vector<Range>& ranges() {
  static const std::vector<Range> all{
      {network("127.0.0.0/8"), AddressKind::loopback},
      {network("::1"), AddressKind::loopback},
      {network("169.254.0.0/16"), AddressKind::link_local},
      {network("fe80::/10"), AddressKind::link_local},
      {network("0.0.0.0/8"), AddressKind::no_server},
      {network("224.0.0.0/4"), AddressKind::no_server},
      {network("255.255.255.255"), AddressKind::no_server},
      {network("::"), AddressKind::no_server},
      {network("ff00::/8"), AddressKind::no_server},
  };
  return all;
}

struct Translation {
  Network network;
  std::size_t at;     // where the four bytes of the IPv4 address are
  bool is_same_host;  // nobody else can be meant
};

const std::vector<Translation>& translations() {
  static const std::vector<Translation> all{
      {network("::/96"), 12, true},        {network("::ffff:0:0:0/96"), 12, true},
      {network("64:ff9b::/96"), 12, true}, {network("64:ff9b:1::/48"), 12, false},
      {network("2002::/16"), 2, false},
  };
  return all;
}

}  // namespace

AddressKind kind_of(const Address& address) {
  for (const auto& range : ranges()) {
    if (range.network.contains(address)) return range.kind;
  }
  return AddressKind::ordinary;
}

bool is_inside(const Network& inner, AddressKind kind) {
  return std::any_of(ranges().begin(), ranges().end(), [&](const Range& range) {
    return range.kind == kind && range.network.contains(inner);
  });
}

Address stands_for(const Address& given) {
  const Address address = given.unmapped();
  // :: and ::1 lie inside ::/96, and stand for nothing.
  if (address.family() == AF_INET || kind_of(address) != AddressKind::ordinary) return address;
  for (const auto& translation : translations()) {
    if (!translation.network.contains(address)) continue;
    sockaddr_in6 from{};
    std::memcpy(&from, address.raw(), sizeof from);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = from.sin6_port;
    std::memcpy(&to.sin_addr, &from.sin6_addr.s6_addr[translation.at], sizeof to.sin_addr);
    sockaddr_storage storage{};
    std::memcpy(&storage, &to, sizeof to);
    return Address::from(reinterpret_cast<const sockaddr*>(&storage));
  }
  return address;
}

bool is_same_host(const Address& address) {
  return address.family() == AF_INET ||
         std::any_of(translations().begin(), translations().end(),
                     [&](const Translation& translation) {
                       return translation.is_same_host && translation.network.contains(address);
                     });
}

bool is_translated(const Network& inner) {
  return std::any_of(
      translations().begin(), translations().end(),
      [&](const Translation& translation) { return translation.network.contains(inner); });
}

}  // namespace finhold::tunnel
