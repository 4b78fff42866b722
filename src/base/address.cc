#include "base/address.h"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <charconv>
#include <cstring>
#include <net/if.h>
#include <optional>

#include "base/port_range.h"

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

Result<std::uint16_t, Mistake> read_port(std::string_view text, std::uint16_t lowest) {
  const auto port = parse_port(text);
  if (port && *port >= lowest) return *port;
  const auto digits = text.find_first_not_of('0');
  const bool extra_zero =
      digits != std::string_view::npos && digits > 0 && parse_port(text.substr(digits));
  return Mistake{"\"" + std::string(text) + "\" is not a port; " +
                 (extra_zero ? "write it without the zero before it, \"" +
                                   std::string(text.substr(digits)) + "\""
                             : "a port is a number from " + std::to_string(lowest) + " to 65535")};
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

// "fe80::1%eth0" and "fe80::1%25eth0" in two; no zone: nothing behind.
struct Zoned {
  std::string_view address;
  std::optional<std::string_view> zone;
};

Zoned split_zone(std::string_view host) {
  const auto percent = host.find('%');
  if (percent == std::string_view::npos) return {host, std::nullopt};
  std::string_view zone = host.substr(percent + 1);
  if (zone.starts_with("25") && zone.size() > 2) zone.remove_prefix(2);
  return {host.substr(0, percent), zone};
}

// With the % before it, so that split_zone() finds the same.
std::string with_percent(const std::string& zone) {
  return (zone.starts_with("25") && zone.size() > 2 ? "%25" : "%") + zone;
}

// The unreserved characters of RFC 3986, which need no escape in an authority. An interface with
// another character in its name can be given by its number.
bool is_zone(std::string_view zone) {
  return !zone.empty() && zone.size() < IF_NAMESIZE &&
         std::all_of(zone.begin(), zone.end(),
                     [](char c) { return is_name_character(c) || c == '.' || c == '~'; });
}

// Reads an IPv6 address with or without a zone, as far as it can be read on any machine.
std::optional<Mistake> parse_v6(const Zoned& host, in6_addr& address) {
  if (!parse_numeric(AF_INET6, host.address, &address)) {
    return Mistake{"\"" + std::string(host.address) + "\" is not an IPv6 address"};
  }
  if (!host.zone) return std::nullopt;
  if (!is_zone(*host.zone)) {
    return Mistake{"\"" + std::string(*host.zone) +
                   "\" is not the name of an interface; behind the % stands a name or number that "
                   "\"ip link\" shows"};
  }
  if (!IN6_IS_ADDR_LINKLOCAL(&address)) {
    return Mistake{"\"" + std::string(host.address) +
                   "\" is the same on every interface; take the % and what follows away, which "
                   "belong to link-local addresses (fe80::/10)"};
  }
  return std::nullopt;
}

// 0: there is no such interface.
std::uint32_t index_of(std::string_view zone) {
  const std::string name(zone);
  if (const auto index = if_nametoindex(name.c_str()); index != 0) return index;
  std::uint32_t index = 0;
  const auto [end, failure] = std::from_chars(zone.data(), zone.data() + zone.size(), index);
  if (end != zone.data() + zone.size() || failure != std::errc{} || zone.front() == '0') return 0;
  std::array<char, IF_NAMESIZE> known{};
  return if_indextoname(index, known.data()) != nullptr ? index : 0;
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
  auto port = read_port(parts->port, 0);
  if (!port.ok()) return port.error();

  const std::string host(parts->host);
  Address result;
  if (parts->bracketed) {
    result.v6_.sin6_family = AF_INET6;
    const Zoned zoned = split_zone(parts->host);
    if (auto mistake = parse_v6(zoned, result.v6_.sin6_addr)) return *std::move(mistake);
    if (zoned.zone) result.v6_.sin6_scope_id = index_of(*zoned.zone);
    if (zoned.zone && result.v6_.sin6_scope_id == 0) {
      return Mistake{"\"" + std::string(*zoned.zone) +
                     R"(" is no interface of this machine; "ip link" lists them)"};
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

std::string Address::zone() const {
  if (family() == AF_INET || v6_.sin6_scope_id == 0) return {};
  std::array<char, IF_NAMESIZE> name{};
  if (if_indextoname(v6_.sin6_scope_id, name.data()) != nullptr) return name.data();
  return std::to_string(v6_.sin6_scope_id);
}

Address Address::without_zone() const {
  Address result = *this;
  if (family() == AF_INET6) result.v6_.sin6_scope_id = 0;
  return result;
}

bool Address::lacks_zone() const {
  return family() == AF_INET6 && IN6_IS_ADDR_LINKLOCAL(&v6_.sin6_addr) && v6_.sin6_scope_id == 0;
}

std::string Address::text() const {
  std::array<char, INET6_ADDRSTRLEN> host{};
  if (family() == AF_INET) {
    inet_ntop(AF_INET, &v4_.sin_addr, host.data(), host.size());
  } else if (IN6_IS_ADDR_V4MAPPED(&v6_.sin6_addr)) {
    inet_ntop(AF_INET, &v6_.sin6_addr.s6_addr[12], host.data(), host.size());
  } else {
    inet_ntop(AF_INET6, &v6_.sin6_addr, host.data(), host.size());
    const std::string zone = this->zone();
    return "[" + std::string(host.data()) + (zone.empty() ? "" : with_percent(zone)) +
           "]:" + std::to_string(port());
  }
  return std::string(host.data()) + ":" + std::to_string(port());
}

bool operator==(const Address& one, const Address& two) {
  if (one.family() != two.family() || one.port() != two.port()) return false;
  return one.family() == AF_INET
             ? one.v4_.sin_addr.s_addr == two.v4_.sin_addr.s_addr
             : one.v6_.sin6_scope_id == two.v6_.sin6_scope_id &&
                   std::memcmp(&one.v6_.sin6_addr, &two.v6_.sin6_addr, sizeof(in6_addr)) == 0;
}

Mistake zone_missing(std::string_view host) {
  const std::string address(host);
  return {"\"" + address + "\" is link-local, so it needs the interface that it is on; write \"[" +
          address + R"(%eth0]" with the name that "ip link" shows)"};
}

Result<HostPort, Mistake> HostPort::parse(std::string_view text) {
  const auto parts = split(text);
  if (!parts || parts->host.empty()) {
    return Mistake{"\"" + std::string(text) +
                   "\" is not a host and a port; write it as \"example.net:7000\", "
                   "\"10.0.0.5:7000\" or \"[2001:db8::5]:7000\""};
  }
  auto port = read_port(parts->port, 1);
  if (!port.ok()) return port.error();

  std::string host(parts->host);
  if (parts->bracketed) {
    in6_addr ignored{};
    const Zoned zoned = split_zone(parts->host);
    if (auto mistake = parse_v6(zoned, ignored)) return *std::move(mistake);
    if (zoned.zone) host = std::string(zoned.address) + "%" + std::string(*zoned.zone);
  } else if (!is_host(host)) {
    return Mistake{"\"" + host + "\" is not a host name or an IPv4 address"};
  }
  return HostPort{std::move(host), port.value()};
}

std::string HostPort::text() const {
  if (host.find(':') == std::string::npos) return host + ":" + std::to_string(port);
  const auto percent = host.find('%');
  const std::string zone =
      percent == std::string::npos ? "" : with_percent(host.substr(percent + 1));
  return "[" + host.substr(0, percent) + zone + "]:" + std::to_string(port);
}

std::string HostPort::authority() const {
  const auto percent = host.find('%');
  if (percent == std::string::npos) return text();
  return "[" + host.substr(0, percent) + "%25" + host.substr(percent + 1) +
         "]:" + std::to_string(port);
}

std::optional<Mistake> HostPort::zone_mistake() const {
  if (host.find(':') == std::string::npos) return std::nullopt;
  const auto address = Address::parse(text());
  if (!address.ok()) return address.error();
  if (address.value().lacks_zone()) return zone_missing(host);
  return std::nullopt;
}

}  // namespace finhold::base
