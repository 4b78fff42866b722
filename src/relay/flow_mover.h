// Moves the bytes of one flow from its source leg to its sink leg, as many as both allow. What the
// sink does not take is kept, at most one block or pipe, and nothing is read until it is gone: that
// is the back-pressure (DESIGN.md R8), and the kernel's buffers carry it on to the sender.
//
// Two paths. Few bytes at a time are copied through the worker's buffer: two system calls. Once a
// read finds many (least_bulk), the flow is bulk and goes through a pipe by splice(2), which does
// not touch the bytes; but a pipe takes one more system call to find it empty, so it would be
// slower for few. Small splices in a row make the flow small again: not a single one, since the end
// of a segment often comes alone. Whenever no pipe can be had, bulk is copied too, in larger
// pieces.
//
// A flow that has been bulk for stream_after bytes is a stream: its source is told to speak up only
// for low_water bytes at a time, so that a fast sender does not wake the worker for every segment.
// That takes a third off the CPU per byte. Fewer bytes than that would wait for ever, so somebody
// must look every millisecond (Session::look), until a look finds nothing: then the flow is no
// stream any more.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "net/pipe_pool.h"
#include "relay/scratch.h"
#include "relay/tcp_leg.h"

namespace finhold::relay {

// On the worker's thread.
class FlowMover {
 public:
  // The most that is copied at once while pipes may be had, and the least share of a turn.
  static constexpr std::size_t copy_size = std::size_t{64} << 10;

  struct Outcome {
    std::size_t moved = 0;  // bytes that the sink took
    bool ended = false;     // the end of the source was read just now
    bool more = false;      // the budget is used up: call again, after others had their turn
  };

  // Reads and writes until one of the legs has no more to give or to take, or has failed, or
  // `budget` bytes were moved. Both legs are open.
  Outcome move(TcpLeg& source, TcpLeg& sink, Scratch& scratch, std::size_t budget);

  // Whether bytes that were read wait for the sink.
  [[nodiscard]] bool waiting() const { return block_ != nullptr || pipe_ != nullptr; }

  // All bytes that the sink has taken.
  [[nodiscard]] std::uint64_t total() const { return total_; }

  // Whether somebody must look every millisecond.
  [[nodiscard]] bool streaming() const { return streaming_; }
  // The flow has run dry, or is stalled: its source speaks up for every byte again.
  void stop_streaming(TcpLeg& source);

  // Drops what waits, when the session is over.
  void release(Scratch& scratch);

 private:
  static constexpr std::uint32_t stream_after = std::uint32_t{16} << 20;
  static constexpr std::size_t low_water = std::size_t{256} << 10;
  static constexpr std::size_t least_bulk = std::size_t{32} << 10;
  static constexpr std::size_t least_splice = std::size_t{16} << 10;
  static constexpr std::uint8_t most_small_splices = 4;

  void pump(TcpLeg& source, TcpLeg& sink, Scratch& scratch, std::size_t budget, Outcome& outcome);
  void copy(TcpLeg& source, TcpLeg& sink, Scratch& scratch, std::size_t most, Outcome& outcome);
  bool splice(TcpLeg& source, TcpLeg& sink, Scratch& scratch, std::size_t most, Outcome& outcome);
  void note_streak(TcpLeg& source, std::size_t bytes);
  void flush(TcpLeg& sink, Scratch& scratch, Outcome& outcome);

  std::uint64_t total_ = 0;
  Block block_;                      // what was copied and waits
  std::unique_ptr<net::Pipe> pipe_;  // what was spliced and waits; taken while bytes are moved
  std::uint32_t begin_ = 0;          // in block_
  std::uint32_t end_ = 0;
  std::uint32_t streak_ = 0;  // bytes since the flow became bulk, as far as they matter
  bool bulk_ = false;
  bool streaming_ = false;
  std::uint8_t small_splices_ = 0;  // in a row
};

}  // namespace finhold::relay
