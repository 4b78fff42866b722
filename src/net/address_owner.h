// Whose an address is: the kernel's own word for it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/address.h"
#include "base/result.h"

namespace finhold::net {

enum class AddressOwner : std::uint8_t {
  other_host,  // or nobody's: there is no way to it
  this_host,
  broadcast,  // of a network that this host is in
};

// Of each in their order: where a TCP connection with that mark (0: none) to its port would go if
// it began now. So not only addresses of interfaces are this host's, but all that its tables of
// routes, and its rules for them, deliver here (`ip route add local 10.9.0.0/16 dev lo`). An error:
// the kernel could not be asked, or nothing may be sent there (a route of type blackhole). Any
// thread. Costs two system calls for each, and a socket for all.
base::Result<std::vector<AddressOwner>> owners_of(std::span<const base::Address> addresses,
                                                  std::uint32_t mark);

}  // namespace finhold::net
