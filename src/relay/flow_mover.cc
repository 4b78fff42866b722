#include "relay/flow_mover.h"

#include <cstring>

namespace finhold::relay {

FlowMover::Outcome FlowMover::move(TcpLeg& source, TcpLeg& sink, Scratch& scratch,
                                   std::size_t budget) {
  Outcome outcome;
  if (!waiting() || flush(sink, scratch, outcome)) pump(source, sink, scratch, budget, outcome);
  total_ += outcome.moved;
  return outcome;
}

void FlowMover::pump(TcpLeg& source, TcpLeg& sink, Scratch& scratch, std::size_t budget,
                     Outcome& outcome) {
  while (source.readable() && sink.failed() == 0) {
    if (outcome.moved >= budget) {
      outcome.more = true;
      break;
    }
    const TcpLeg::Read read = source.read(scratch.buffer());
    if (read.what != TcpLeg::Read::What::bytes) {
      outcome.ended = read.what == TcpLeg::Read::What::end;
      break;
    }
    const std::span<const std::byte> bytes = scratch.buffer().first(read.count);
    const std::size_t taken = sink.write(bytes);
    outcome.moved += taken;
    if (taken < bytes.size()) {
      keep(bytes.subspan(taken), scratch);
      break;
    }
  }
}

// False: the sink has not taken everything.
bool FlowMover::flush(TcpLeg& sink, Scratch& scratch, Outcome& outcome) {
  if (!sink.writable()) return false;
  const std::size_t taken = sink.write({block_.get() + begin_, end_ - begin_});
  begin_ += static_cast<std::uint32_t>(taken);
  outcome.moved += taken;
  if (waiting()) return false;
  release(scratch);
  return true;
}

void FlowMover::keep(std::span<const std::byte> rest, Scratch& scratch) {
  block_ = scratch.take();
  std::memcpy(block_.get(), rest.data(), rest.size());
  begin_ = 0;
  end_ = static_cast<std::uint32_t>(rest.size());
}

void FlowMover::release(Scratch& scratch) {
  if (block_ != nullptr) scratch.give_back(std::move(block_));
  begin_ = end_ = 0;
}

}  // namespace finhold::relay
