// The addresses of this host.
#pragma once

#include <vector>

#include "base/address.h"
#include "base/result.h"

namespace finhold::net {

// Of every interface of this network namespace, loopback too, with port 0. Any thread. Costs a few
// system calls, and addresses come and go: ask again from time to time. What a route of type
// `local` adds beyond the interfaces' addresses is not among them.
base::Result<std::vector<base::Address>> own_addresses();

}  // namespace finhold::net
