// What all sessions of a run share.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <netinet/in.h>
#include <string>

#include "loop.h"
#include "pattern.h"
#include "report.h"

namespace bench {

struct Options {
  std::string mode = {};
  sockaddr_in target = {};  // where clients connect: the proxy, or the server itself
  sockaddr_in listen = {};  // where the server listens
  double seconds = 2;
  std::uint32_t streams = 1;       // bulk sessions
  std::uint32_t connections = 64;  // request/response sessions; short ones that are open at once
  std::uint32_t total = 0;         // short sessions in all; 0: as many as the time allows
  std::uint32_t request = 100;     // bytes
  std::uint32_t response = 400;    // bytes
  std::uint32_t sources = 64;  // addresses that short sessions come from; 0: the kernel's choice
  std::size_t chunk = kChunk;  // of bulk
  double pace = 0;             // seconds between a response and the next request of its session
  bool up = true;              // bulk from client to server
  bool down = false;
  bool sample = false;  // check one bulk read in 32 and discard the others unread
};

// A bulk session. Both its ends are ours, so each knows what the other one sent.
struct Stream {
  struct Flow {
    bool wanted = false;
    std::uint64_t sent = 0;
    std::uint64_t received = 0;
    bool finished = false;  // the sender has sent its FIN
    bool ended = false;     // the receiver has read it
  };
  std::array<Flow, 2> flows = {};  // to_server, to_client
};

struct Run {
  Options options = {};
  Loop loop = {};
  Pattern pattern = {};
  Report report = {};
  std::array<char, kChunk> scratch = {};
  std::deque<Stream> streams = {};
  Clock::time_point deadline = {};   // nothing new is begun after it
  std::uint64_t open_at_client = 0;  // ends that are not closed
  std::uint64_t open_at_server = 0;
  std::uint64_t held = 0;  // idle sessions that had their transaction
  bool released = false;   // idle sessions may end

  // Sessions that pause, by the time of their next request; the pause is the same for all.
  struct Pause {
    Clock::time_point until = {};
    int fd = -1;
  };
  std::deque<Pause> pauses = {};

  bool over() const { return Clock::now() >= deadline; }
};

// The first bytes of every session, and of every request: a server end learns from them what it is.
struct Header {
  enum class Kind : std::uint8_t { bulk = 'b', request = 'q' };
  enum class After : std::uint8_t {
    nothing,
    end,
    be_reset
  };  // what the server does, or meets, next
  Kind kind = Kind::request;
  After after = After::nothing;
  std::uint16_t reserved = 0;
  std::uint32_t id = 0;
  std::uint64_t number = 0;  // of the request in its session
};
static_assert(sizeof(Header) == 16);

// Begins to connect; the address that it comes from is the `source`-th one, or the kernel's choice.
int connect_to(const Options& options, std::uint32_t source);
int listen_at(const sockaddr_in& address);
// The end of what one side sends.
void send_end(int fd);
// Closing is a reset from now on.
void arm_reset(int fd);

// Takes what connects, reads its header and gives it to a bulk or an exchange end.
void start_server(Run& run);

}  // namespace bench
