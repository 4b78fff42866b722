// Listen addresses that cannot stand side by side, and routes that lead back to themselves.
#pragma once

#include <optional>

#include "base/address.h"
#include "base/result.h"

namespace finhold::config {

// Whether two listeners would compete for the same connections: the same port, and the same address
// or one that includes the other. "0.0.0.0" includes every IPv4 address, "[::]" every address of
// both families. SO_REUSEPORT would let the kernel accept both and share the clients out, silently.
// Port 0 is a new port each time and never overlaps.
bool listeners_overlap(const base::Address& one, const base::Address& two);

// The mistake of a route whose connections to the server would come straight back to its own
// listener, as far as the addresses alone can tell: a name is not looked up.
std::optional<base::Mistake> loop_mistake(const base::Address& listen,
                                          const base::HostPort& server);

}  // namespace finhold::config
