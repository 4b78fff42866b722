// Bulk sessions: as many bytes as go through until the deadline, one way or both ways.
#pragma once

#include <cstdint>
#include <span>

#include "run.h"

namespace bench {

// Begins session `id`, the next one of run.streams.
void start_bulk_client(Run& run, std::uint32_t id);

// The server's end of session `id`. `bytes`: what came with its header; valid during the call.
// Replaces the descriptor's source.
void become_bulk_server(Run& run, int fd, std::uint32_t id, std::span<const char> bytes);

}  // namespace bench
