#include "net/dial_source.h"

#include <cerrno>
#include <netinet/in.h>
#include <string_view>
#include <sys/socket.h>

namespace finhold::net {
namespace {

base::Error set_option(int fd, int level, int name, std::uint32_t value, const char* operation) {
  return setsockopt(fd, level, name, &value, sizeof value) == 0 ? base::Error{}
                                                                : base::Error{errno, operation};
}

}  // namespace

base::Error set_mark(int fd, std::uint32_t mark) {
  return set_option(fd, SOL_SOCKET, SO_MARK, mark, setting_mark);
}

base::Error set_transparent(int fd, int family) {
  return family == AF_INET ? set_option(fd, SOL_IP, IP_TRANSPARENT, 1, setting_transparent)
                           : set_option(fd, SOL_IPV6, IPV6_TRANSPARENT, 1, setting_transparent);
}

base::Error bind_source(int fd, const base::Address& address) {
  const auto error = address.port() == 0
                         ? set_option(fd, SOL_IP, IP_BIND_ADDRESS_NO_PORT, 1,
                                      "setsockopt(IP_BIND_ADDRESS_NO_PORT)")
                         : set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1, "setsockopt(SO_REUSEADDR)");
  if (error.code != 0) return error;
  if (bind(fd, address.raw(), address.length()) != 0) return {errno, "bind"};
  return {};
}

const char* missing_capability(const base::Error& error) {
  if (error.code != EPERM && error.code != EACCES) return nullptr;
  const std::string_view operation = error.operation;
  if (operation == setting_mark || operation == setting_transparent) {
    return "CAP_NET_RAW or CAP_NET_ADMIN";
  }
  return operation == "bind" ? "CAP_NET_BIND_SERVICE" : nullptr;
}

}  // namespace finhold::net
