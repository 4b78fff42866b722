#include "base/address.h"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <charconv>
#include <cstring>
#include <optional>

namespace finhold::base {
namespace {

struct Parts {
  std::string_view host;
  std::string_view port;
  bool bracketed = false;
};

// Splits "host:port" and "[host]:port"; nothing if there is no port or an IPv6 address lacks its
// brackets.
std::optional<Parts> split(std::string_view text) {
  if (!text.empty() && text.front() == '[') {
    const auto close = text.find(']');
    if (close == std::string_view::npos || close + 1 >= text.size() || text[close + 1] != ':') {
      return std::nullopt;
    }
    return Parts{text.substr(1, close - 1), text.substr(close + 2), true};
  }
  const auto colon = text.find(':');
  if (colon == std::string_view::npos || text.find(':', colon + 1) != std::string_view::npos) {
    return std::nullopt;
  }
  return Parts{text.substr(0, colon), text.substr(colon + 1), false};
}

Result<std::uint16_t, Mistake> parse_port(std::string_view text, unsigned lowest) {
  unsigned port = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (text.empty() || end != text.data() + text.size() || failure != std::errc{} || port < lowest ||
      port > 65535) {
    return Mistake{"\"" + std::string(text) + "\" is not a port; a port is a number from " +
                   std::to_string(lowest) + " to 65535"};
  }
  return static_cast<std::uint16_t>(port);
}

// Stricter than inet_pton, which stops reading at a NUL.
bool parse_numeric(int family, std::string_view text, void* address) {
  return text.find('\0') == std::string_view::npos &&
         inet_pton(family, std::string(text).c_str(), address) == 1;
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '-' || c == '_';
}

bool is_hex_digit(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

bool is_number(std::string_view label) {
  if (label.starts_with("0x") || label.starts_with("0X")) {
    return std::all_of(label.begin() + 2, label.end(), is_hex_digit);
  }
  return std::all_of(label.begin(), label.end(), is_digit);
}

}  // namespace

// One or more labels of 1 to 63 characters with a dot between them; a last dot may follow. If the
// last label is a number, the whole must be an IPv4 address: no name ends so, and the C library
// would read "10.0.5" as 10.0.0.5.
bool is_host(std::string_view host) {
  if (host.size() > 253) return false;
  std::string_view rest = host.ends_with('.') ? host.substr(0, host.size() - 1) : host;
  std::string_view label;
  for (bool last = false; !last;) {
    const auto dot = rest.find('.');
    last = dot == std::string_view::npos;
    label = rest.substr(0, dot);
    if (label.empty() || label.size() > 63 ||
        !std::all_of(label.begin(), label.end(), is_name_character)) {
      return false;
    }
    if (!last) rest.remove_prefix(dot + 1);
  }
  if (!is_number(label)) return true;
  in_addr ignored{};
  return parse_numeric(AF_INET, host, &ignored);
}

Address::Address() : v6_{} { v6_.sin6_family = AF_INET; }

Address Address::from(const sockaddr* address) {
  FINHOLD_CHECK(address->sa_family == AF_INET || address->sa_family == AF_INET6);
  Address result;
  if (address->sa_family == AF_INET) {
    std::memcpy(&result.v4_, address, sizeof result.v4_);
  } else {
    std::memcpy(&result.v6_, address, sizeof result.v6_);
  }
  return result;
}

Result<Address, Mistake> Address::parse(std::string_view text) {
  const auto parts = split(text);
  if (!parts) {
    return Mistake{"\"" + std::string(text) +
                   "\" is not an address and a port; write it as \"127.0.0.1:7000\" or "
                   "\"[::1]:7000\""};
  }
  auto port = parse_port(parts->port, 0);
  if (!port.ok()) return port.error();

  const std::string host(parts->host);
  Address result;
  if (parts->bracketed) {
    result.v6_.sin6_family = AF_INET6;
    if (!parse_numeric(AF_INET6, host, &result.v6_.sin6_addr)) {
      return Mistake{"\"" + host + "\" is not an IPv6 address"};
    }
  } else if (host.empty()) {
    return Mistake{
        "the address before the port is missing (use \"0.0.0.0\" or \"[::]\" for every "
        "address of this machine)"};
  } else if (!parse_numeric(AF_INET, host, &result.v4_.sin_addr)) {
    return Mistake{"\"" + host +
                   "\" is not an IPv4 address; a name cannot stand here (use \"0.0.0.0\" or "
                   "\"[::]\" for every address of this machine)"};
  }
  return result.with_port(port.value());
}

const sockaddr* Address::raw() const { return reinterpret_cast<const sockaddr*>(&v6_); }

socklen_t Address::length() const { return family() == AF_INET ? sizeof v4_ : sizeof v6_; }

std::uint16_t Address::port() const { return ntohs(v6_.sin6_port); }

Address Address::with_port(std::uint16_t port) const {
  Address result = *this;
  result.v6_.sin6_port = htons(port);
  return result;
}

bool Address::is_any() const {
  const Address plain = unmapped();
  return plain.family() == AF_INET ? plain.v4_.sin_addr.s_addr == INADDR_ANY
                                   : IN6_IS_ADDR_UNSPECIFIED(&plain.v6_.sin6_addr);
}

Address Address::unmapped() const {
  if (family() == AF_INET || !IN6_IS_ADDR_V4MAPPED(&v6_.sin6_addr)) return *this;
  Address result;
  std::memcpy(&result.v4_.sin_addr, &v6_.sin6_addr.s6_addr[12], sizeof result.v4_.sin_addr);
  result.v4_.sin_port = v6_.sin6_port;
  return result;
}

std::string Address::text() const {
  std::array<char, INET6_ADDRSTRLEN> host{};
  if (family() == AF_INET) {
    inet_ntop(AF_INET, &v4_.sin_addr, host.data(), host.size());
  } else if (IN6_IS_ADDR_V4MAPPED(&v6_.sin6_addr)) {
    inet_ntop(AF_INET, &v6_.sin6_addr.s6_addr[12], host.data(), host.size());
  } else {
    inet_ntop(AF_INET6, &v6_.sin6_addr, host.data(), host.size());
    return "[" + std::string(host.data()) + "]:" + std::to_string(port());
  }
  return std::string(host.data()) + ":" + std::to_string(port());
}

bool operator==(const Address& one, const Address& two) {
  if (one.family() != two.family() || one.port() != two.port()) return false;
  return one.family() == AF_INET
             ? one.v4_.sin_addr.s_addr == two.v4_.sin_addr.s_addr
             : std::memcmp(&one.v6_.sin6_addr, &two.v6_.sin6_addr, sizeof(in6_addr)) == 0;
}

Result<HostPort, Mistake> HostPort::parse(std::string_view text) {
  const auto parts = split(text);
  if (!parts || parts->host.empty()) {
    return Mistake{"\"" + std::string(text) +
                   "\" is not a host and a port; write it as \"example.net:7000\", "
                   "\"10.0.0.5:7000\" or \"[2001:db8::5]:7000\""};
  }
  auto port = parse_port(parts->port, 1);
  if (!port.ok()) return port.error();

  std::string host(parts->host);
  if (parts->bracketed) {
    in6_addr ignored{};
    if (!parse_numeric(AF_INET6, host, &ignored)) {
      return Mistake{"\"" + host + "\" is not an IPv6 address"};
    }
  } else if (!is_host(host)) {
    return Mistake{"\"" + host + "\" is not a host name or an IPv4 address"};
  }
  return HostPort{std::move(host), port.value()};
}

std::string HostPort::text() const {
  const bool v6 = host.find(':') != std::string::npos;
  return (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

}  // namespace finhold::base
