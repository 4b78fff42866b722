// Where a dialed connection comes from: its mark, its own address. Some of it needs a capability.
#pragma once

#include <cstdint>

#include "base/address.h"
#include "base/error.h"

namespace finhold::net {

// The operations of these errors, by which missing_capability() knows them.
constexpr const char* setting_mark = "setsockopt(SO_MARK)";
constexpr const char* setting_transparent = "setsockopt(IP_TRANSPARENT)";

// SO_MARK on a new socket, so that rules can tell finhold's own connections from others.
base::Error set_mark(int fd, std::uint32_t mark);

// IP_TRANSPARENT or IPV6_TRANSPARENT: the socket may have an address of another machine.
base::Error set_transparent(int fd, int family);

// Binds a new socket of the family of `address`. With port 0 the kernel chooses a port when it
// connects, which then only needs to differ from those that go to the same server. A port that is
// given may be in use towards other servers, also by connections that are over (TIME_WAIT).
base::Error bind_source(int fd, const base::Address& address);

// "CAP_NET_RAW or CAP_NET_ADMIN": what the caller of one of these lacks. Null: the error has
// another reason.
const char* missing_capability(const base::Error& error);

}  // namespace finhold::net
