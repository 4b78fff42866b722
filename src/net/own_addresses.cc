#include "net/own_addresses.h"

#include <cerrno>
#include <ifaddrs.h>
#include <memory>

namespace finhold::net {

base::Result<std::vector<base::Address>> own_addresses() {
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return base::Error{errno, "getifaddrs"};
  const std::unique_ptr<ifaddrs, decltype(&freeifaddrs)> owner(list, &freeifaddrs);
  std::vector<base::Address> addresses;
  for (const ifaddrs* one = list; one != nullptr; one = one->ifa_next) {
    if (one->ifa_addr == nullptr) continue;  // an interface without an address
    if (one->ifa_addr->sa_family != AF_INET && one->ifa_addr->sa_family != AF_INET6) continue;
    addresses.push_back(base::Address::from(one->ifa_addr).with_port(0));
  }
  return addresses;
}

}  // namespace finhold::net
