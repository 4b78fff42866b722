#include "config/listen_overlap.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <netinet/in.h>

namespace finhold::config {
namespace {

// An address taken apart; an IPv4-mapped IPv6 address is the IPv4 address.
struct Place {
  bool v6 = false;
  std::array<std::uint8_t, 16> bytes{};  // the first four, for IPv4
  std::uint16_t port = 0;
  std::uint32_t interface = 0;  // of a link-local address

  [[nodiscard]] bool is_every_address() const {
    return std::all_of(bytes.begin(), bytes.end(), [](auto byte) { return byte == 0; });
  }
  [[nodiscard]] bool is_loopback() const {
    if (!v6) return bytes[0] == 127;
    return bytes[15] == 1 &&
           std::all_of(bytes.begin(), bytes.end() - 1, [](auto byte) { return byte == 0; });
  }
  [[nodiscard]] bool includes(const Place& other) const {
    return is_every_address() && (v6 || !other.v6);
  }
  friend bool operator==(const Place&, const Place&) = default;
};

Place place_of(const base::Address& address) {
  Place place{.port = address.port()};
  if (address.family() == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, address.raw(), sizeof v4);
    std::memcpy(place.bytes.data(), &v4.sin_addr, sizeof v4.sin_addr);
    return place;
  }
  sockaddr_in6 v6{};
  std::memcpy(&v6, address.raw(), sizeof v6);
  if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) {
    std::memcpy(place.bytes.data(), &v6.sin6_addr.s6_addr[12], sizeof(in_addr));
  } else {
    place.v6 = true;
    place.interface = v6.sin6_scope_id;
    std::memcpy(place.bytes.data(), &v6.sin6_addr, sizeof v6.sin6_addr);
  }
  return place;
}

}  // namespace

bool listeners_overlap(const base::Address& one, const base::Address& two) {
  const Place first = place_of(one);
  const Place second = place_of(two);
  if (first.port != second.port || first.port == 0) return false;
  return first == second || first.includes(second) || second.includes(first);
}

std::optional<base::Mistake> loop_mistake(const base::Address& listen,
                                          const base::HostPort& server) {
  const auto numeric = base::Address::parse(server.text());
  if (!numeric.ok()) return std::nullopt;
  const Place from = place_of(listen);
  Place to = place_of(numeric.value());
  // A connection to "0.0.0.0" or "[::]" goes to this machine's loopback address.
  if (to.is_every_address()) {
    to.bytes = to.v6 ? std::array<std::uint8_t, 16>{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}
                     : std::array<std::uint8_t, 16>{127, 0, 0, 1};
  }
  if (from.port != to.port) return std::nullopt;
  if (from != to && !(from.includes(to) && to.is_loopback())) return std::nullopt;
  return base::Mistake{"\"" + server.text() +
                       "\" leads back to this route's own listen address \"" + listen.text() +
                       "\"; write where the server is, or another port"};
}

}  // namespace finhold::config
