// Request/response sessions: long ones, short ones (a connection each), and idle ones.
#pragma once

#include <cstdint>
#include <span>

#include "run.h"

namespace bench {

// What a client does after its last response.
enum class Then : std::uint8_t {
  end,    // FIN, wait for the server's, close: long sessions, after the deadline
  hold,   // stay until run.released, then end
  close,  // close at once, so the client's FIN comes first
  wait,   // the server's FIN comes first
  reset,  // close with a reset
};

inline constexpr std::uint32_t kMostRequest = 1024;  // bytes; and one Header at least

// A session that exchanges until the deadline (Then::end), or once (all others). A short one
// (close, wait, reset) is followed by the next one until the deadline, or until run.options.total
// are done.
void start_exchange_client(Run& run, std::uint32_t id, Then then);

// Ends the sessions that hold.
void release_held(Run& run);

// Sends the next requests of the sessions whose pause is over; returns how long the loop may wait.
std::chrono::milliseconds resume_paused(Run& run);

// The server's end. `bytes`: what came first; valid during the call. Replaces the descriptor's
// source.
void become_exchange_server(Run& run, int fd, std::span<char> bytes);

}  // namespace bench
