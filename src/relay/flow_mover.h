// Moves the bytes of one flow from its source leg to its sink leg, as many as both allow. What the
// sink does not take is kept, at most one block or pipe, and nothing is read until it is gone: that
// is the back-pressure (DESIGN.md R8), and the kernel's buffers carry it on to the sender.
//
// Two paths. Few bytes at a time are copied through the worker's buffer: two system calls. Once a
// read fills copy_size, the flow is bulk and goes through a pipe by splice(2), which does not touch
// the bytes; but a pipe takes one more system call to find it empty, so it would be slower for few.
// A small splice ends bulk at once: small pieces that are spliced make small segments, and copied
// ones do not. Whenever no pipe can be had, bulk is copied too, in larger pieces; where
// a leg is no TcpLeg every read may be as large. An urgent byte goes by itself, and is sent as one
// (DESIGN.md R10).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "net/pipe_pool.h"
#include "relay/leg.h"
#include "relay/scratch.h"

namespace finhold::relay {

// On the worker's thread.
class FlowMover {
 public:
  // A read of this much makes a flow bulk; also the least share of a turn.
  static constexpr std::size_t copy_size = std::size_t{64} << 10;

  struct Outcome {
    std::size_t moved = 0;  // bytes that the sink took
    bool ended = false;     // the end of the source was read just now
    bool broken = false;    // all that came before the source failed was read just now; no end
    bool more = false;      // the budget is used up: call again, after others had their turn
  };

  // Reads and writes until one of the legs has no more to give or to take, or has failed, or
  // `budget` bytes were moved. Both legs are open.
  Outcome move(Leg& source, Leg& sink, Scratch& scratch, std::size_t budget);

  // Whether bytes that were read wait for the sink.
  [[nodiscard]] bool waiting() const { return block_ != nullptr || pipe_ != nullptr; }

  // All bytes that the sink has taken.
  [[nodiscard]] std::uint64_t total() const { return total_; }
  // Bytes that the source gave and the sink never took.
  [[nodiscard]] std::uint64_t dropped() const { return dropped_; }

  // Drops what waits: the sink has failed, or the session is over.
  void release(Scratch& scratch);

  // Reads `budget` bytes, or what there is, for nobody: the sink has failed. True: there is more.
  bool discard(Leg& source, Scratch& scratch, std::size_t budget);

 private:
  static constexpr std::size_t least_splice = std::size_t{16} << 10;

  void pump(Leg& source, Leg& sink, Scratch& scratch, std::size_t budget, Outcome& outcome);
  void copy(Leg& source, Leg& sink, Scratch& scratch, std::size_t most, Outcome& outcome);
  bool splice(Leg& source, Leg& sink, Scratch& scratch, std::size_t most, Outcome& outcome);
  void flush(Leg& sink, Scratch& scratch, Outcome& outcome);

  std::uint64_t total_ = 0;
  std::uint64_t dropped_ = 0;
  base::Block block_;                // what was copied and waits
  std::unique_ptr<net::Pipe> pipe_;  // what was spliced and waits; taken while bytes are moved
  std::uint32_t begin_ = 0;          // in block_
  std::uint32_t end_ = 0;
  bool bulk_ = false;
  bool urgent_ = false;  // what waits in block_ is an urgent byte
};

}  // namespace finhold::relay
