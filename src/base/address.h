// An IPv4 or IPv6 address with a port, and the host:port pairs that people write.
#pragma once

#include <cstdint>
#include <netinet/in.h>
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

  // "127.0.0.1:7000" or "[::1]:7000"; a numeric address, never a name. Port 0 is allowed.
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

  // "127.0.0.1:7000", "[::1]:7000"; an IPv4-mapped IPv6 address is written as the IPv4 address.
  [[nodiscard]] std::string text() const;

  friend bool operator==(const Address& one, const Address& two);

 private:
  union {
    sockaddr_in v4_;
    sockaddr_in6 v6_;  // sin6_family, sin6_port lie where sin_family, sin_port do
  };
};

// Whether a text is a name as hosts have them, or a numeric IPv4 address in full. A text that the C
// library would read as an IPv4 address in another form ("127.1", "0x7f000001") is neither.
bool is_host(std::string_view host);

// Where a server is, as written: a name or a numeric address, and a port from 1 to 65535.
struct HostPort {
  std::string host;  // without brackets
  std::uint16_t port = 0;

  // "example.net:7000", "10.0.0.5:7000", "[::1]:7000".
  static Result<HostPort, Mistake> parse(std::string_view text);

  // As it was written: brackets around an IPv6 address.
  [[nodiscard]] std::string text() const;

  friend bool operator==(const HostPort&, const HostPort&) = default;
};

}  // namespace finhold::base
