// The system calls that finhold's data path makes, answered by the model: in this program they are
// these functions in place of libc's, so that all of finhold above them is what is released, and
// has no seam for it. Descriptors of the model are beyond all real ones; calls for others go to the
// kernel.
#pragma once

#include <cstdint>

#include "simulation/world.h"

namespace finhold::simulation {

// The world that the calls of this thread see, until the next; nullptr: none, and every call goes
// to the kernel. Descriptors of a world before it are void.
void enter(World* world);

// A listening socket; accept4(2) gives what arrives at it, in that order.
int listening_descriptor();
void arrive(int listening, Socket& socket);

// What finhold has open: sockets, pipes, epolls. To find a leak.
std::size_t open_descriptors();

// How often epoll_wait() has returned. To find a spin.
std::uint64_t waits();

}  // namespace finhold::simulation
