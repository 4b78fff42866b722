// An IPv4 or IPv6 address with a port, and the host:port pairs that people write.
#pragma once

#include <cstdint>
#include <netinet/in.h>
#include <optional>
#include <string>
#include <string_view>
#include <sys/socket.h>

#include "base/result.h"

namespace finhold::base {

// A socket address: 28 bytes, no allocation. The default value is 0.0.0.0:0.
class Address {
 public:
  Address();

  // From the kernel or getaddrinfo. Requires AF_INET or AF_INET6 and the matching length.
  static Address from(const sockaddr* address);

  // "127.0.0.1:7000", "[::1]:7000" or "[fe80::1%eth0]:7000"; a numeric address, never a name. Port
  // 0 is allowed. The interface must exist; it may be given by its number, too, and behind "%25"
  // (RFC 6874).
  static Result<Address, Mistake> parse(std::string_view text);

  [[nodiscard]] const sockaddr* raw() const;
  [[nodiscard]] socklen_t length() const;
  [[nodiscard]] int family() const { return v6_.sin6_family; }
  [[nodiscard]] std::uint16_t port() const;
  // 0.0.0.0, [::] or the first one mapped into IPv6.
  [[nodiscard]] bool is_any() const;
  // The IPv4 address of an IPv4-mapped IPv6 one; any other as it is.
  [[nodiscard]] Address unmapped() const;
  [[nodiscard]] Address with_port(std::uint16_t port) const;

  // A link-local IPv6 address (fe80::/10) is one of an interface: its name, or its number if it has
  // gone. Empty: there is none. The name means something on this machine only (RFC 4007 section 6).
  [[nodiscard]] std::string zone() const;
  [[nodiscard]] Address without_zone() const;
  // Whether it is link-local and of no interface, so that nobody can connect to it or listen there.
  [[nodiscard]] bool lacks_zone() const;

  // As parse() takes it; an IPv4-mapped IPv6 address is written as the IPv4 address.
  [[nodiscard]] std::string text() const;

  friend bool operator==(const Address& one, const Address& two);

 private:
  union {
    sockaddr_in v4_;
    sockaddr_in6 v6_;  // sin6_family, sin6_port lie where sin_family, sin_port do
  };
};

// What is wrong with a link-local address that lacks_zone().
Mistake zone_missing(std::string_view host);

// Whether a text is a name as hosts have them, or a numeric IPv4 address in full. A text that the C
// library would read as an IPv4 address in another form ("127.1", "0x7f000001") is neither.
bool is_host(std::string_view host);

// Where a server is, as written: a name or a numeric address, and a port from 1 to 65535.
struct HostPort {
  std::string host;  // without brackets; "fe80::1%eth0"
  std::uint16_t port = 0;

  // "example.net:7000", "10.0.0.5:7000", "[::1]:7000", "[fe80::1%eth0]:7000" or, as RFC 6874 has
  // it, "[fe80::1%25eth0]:7000". Whether there is such an interface is asked when it is dialed: it
  // may be another machine's.
  static Result<HostPort, Mistake> parse(std::string_view text);

  // As it was written: brackets around an IPv6 address.
  [[nodiscard]] std::string text() const;

  // As an authority has it (RFC 3986 section 3.2, RFC 6874): "[fe80::1%25eth0]:7000".
  [[nodiscard]] std::string authority() const;

  // Why it cannot be dialed from this machine as it is: its interface is missing, or unknown.
  [[nodiscard]] std::optional<Mistake> zone_mistake() const;

  friend bool operator==(const HostPort&, const HostPort&) = default;
};

}  // namespace finhold::base
