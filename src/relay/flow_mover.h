// Moves the bytes of one flow from its source leg to its sink leg, as many as both allow. What the
// sink does not take is kept, at most one block, and nothing is read until it is gone: that is the
// back-pressure (DESIGN.md R8), and the kernel's buffers carry it on to the sender.
#pragma once

#include <cstddef>
#include <cstdint>

#include "relay/scratch.h"
#include "relay/tcp_leg.h"

namespace finhold::relay {

// On the worker's thread.
class FlowMover {
 public:
  struct Outcome {
    std::size_t moved = 0;  // bytes that the sink took
    bool ended = false;     // the end of the source was read just now
    bool more = false;      // the budget is used up: call again, after others had their turn
  };

  // Reads and writes until one of the legs has no more to give or to take, or has failed, or
  // `budget` bytes were moved. Both legs are open.
  Outcome move(TcpLeg& source, TcpLeg& sink, Scratch& scratch, std::size_t budget);

  // Whether bytes that were read wait for the sink.
  [[nodiscard]] bool waiting() const { return begin_ != end_; }

  // All bytes that the sink has taken.
  [[nodiscard]] std::uint64_t total() const { return total_; }

  // Drops what waits, when the session is over.
  void release(Scratch& scratch);

 private:
  void pump(TcpLeg& source, TcpLeg& sink, Scratch& scratch, std::size_t budget, Outcome& outcome);
  bool flush(TcpLeg& sink, Scratch& scratch, Outcome& outcome);
  void keep(std::span<const std::byte> rest, Scratch& scratch);

  std::uint64_t total_ = 0;
  Block block_;  // owned while waiting()
  std::uint32_t begin_ = 0;
  std::uint32_t end_ = 0;
};

}  // namespace finhold::relay
