// What a far end must know of its host before it dials.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/address.h"
#include "base/result.h"

namespace finhold::tunnel {

// Of the addresses in question, and of those that they stand for; not mapped.
struct HostAddresses {
  std::vector<base::Address> own;        // this host's
  std::vector<base::Address> broadcast;  // of its networks
};

// As the kernel would route connections with that mark (net/address_owner.h). An error: it could
// not be asked.
base::Result<HostAddresses> host_addresses(std::span<const base::Address> in_question,
                                           std::uint32_t mark);

}  // namespace finhold::tunnel
