#include "net/original_destination.h"

#include <cerrno>
#include <netinet/in.h>
#include <sys/socket.h>

#include "net/socket.h"

namespace finhold::net {
namespace {

// <linux/netfilter_ipv4.h> and <linux/netfilter_ipv6/ip6_tables.h>, which do not go well together
// with the headers of glibc: SO_ORIGINAL_DST and IP6T_SO_ORIGINAL_DST.
constexpr int so_original_dst = 80;

}  // namespace

base::Result<base::Address> original_destination(int fd) {
  // The family of the packets decides, not that of the socket: conntrack's tables are apart, and a
  // dual-stack listener has clients of both.
  const auto own = local_address(fd);
  if (!own.ok()) return own.error();
  const bool v4 = own.value().unmapped().family() == AF_INET;
  sockaddr_storage storage{};
  socklen_t length = v4 ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
  auto* raw = reinterpret_cast<sockaddr*>(&storage);
  if (getsockopt(fd, v4 ? SOL_IP : SOL_IPV6, so_original_dst, raw, &length) != 0) {
    return base::Error{errno, "getsockopt(SO_ORIGINAL_DST)"};
  }
  return base::Address::from(raw);
}

}  // namespace finhold::net
