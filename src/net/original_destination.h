// Where a client was going when a "redirect" rule of the kernel turned it to our listener.
#pragma once

#include "base/address.h"
#include "base/result.h"

namespace finhold::net {

// Of an accepted connection, IPv4 or IPv6, on a listener of either family. A connection that no
// rule redirected has its local_address() here, or, if the kernel does not track it at all, the
// error ENOENT (ENOPROTOOPT: no conntrack in this kernel). An IPv4-mapped address is told as IPv4.
base::Result<base::Address> original_destination(int fd);

}  // namespace finhold::net
