#include "relay/flow_mover.h"

#include <algorithm>
#include <cstring>

#include "relay/tcp_leg.h"

namespace finhold::relay {

using What = Leg::Read::What;

FlowMover::Outcome FlowMover::move(Leg& source, Leg& sink, Scratch& scratch, std::size_t budget) {
  Outcome outcome;
  if (waiting()) flush(sink, scratch, outcome);
  if (!waiting()) pump(source, sink, scratch, budget, outcome);
  total_ += outcome.moved;
  return outcome;
}

void FlowMover::pump(Leg& source, Leg& sink, Scratch& scratch, std::size_t budget,
                     Outcome& outcome) {
  const Splicing splicing = scratch.splicing();
  if (splicing == Splicing::always) bulk_ = true;
  const bool may_splice =
      splicing != Splicing::never && source.tcp() != nullptr && sink.tcp() != nullptr;
  while (source.readable() && sink.failed() == 0 && !outcome.ended && !outcome.broken &&
         !waiting() && !outcome.more) {
    if (outcome.moved >= budget) {
      outcome.more = true;
      return;
    }
    const std::size_t share = std::max(copy_size, budget - outcome.moved);
    // A small read is for finding out whether to splice; otherwise it would only be one more.
    if (!bulk_ || !may_splice) {
      copy(source, sink, scratch, may_splice ? copy_size : share, outcome);
    } else if (!splice(source, sink, scratch, budget - outcome.moved, outcome)) {
      copy(source, sink, scratch, share, outcome);
    }
  }
}

void FlowMover::copy(Leg& source, Leg& sink, Scratch& scratch, std::size_t most, Outcome& outcome) {
  const auto buffer = scratch.buffer().first(std::min(most, scratch.buffer().size()));
  const Leg::Read read = source.read(buffer);
  outcome.ended = read.what == What::end;
  outcome.broken = read.what == What::failed;
  if (read.what != What::bytes && read.what != What::urgent) return;
  const bool urgent = read.what == What::urgent;
  bulk_ = read.count == buffer.size();
  const std::size_t taken = sink.write(buffer.first(read.count), urgent);
  outcome.moved += taken;
  // Urgent bytes are many system calls for few bytes: others have their turn between them.
  outcome.more = urgent && taken == read.count;
  if (taken == read.count) return;
  block_ = scratch.blocks().take();
  std::memcpy(block_.get(), buffer.data() + taken, read.count - taken);
  begin_ = 0;
  end_ = static_cast<std::uint32_t>(read.count - taken);
  urgent_ = urgent;
}

// False: nothing was done, copy instead.
bool FlowMover::splice(Leg& source, Leg& sink, Scratch& scratch, std::size_t most,
                       Outcome& outcome) {
  TcpLeg* const from = source.tcp();
  TcpLeg* const into = sink.tcp();
  if (from == nullptr || into == nullptr) return false;
  pipe_ = scratch.pipes().take();
  if (pipe_ == nullptr) return false;
  const Leg::Read read =
      from->splice_to(*pipe_, std::clamp(most, copy_size, net::PipePool::pipe_size));
  bulk_ = read.what == What::nothing || read.count >= least_splice;
  if (pipe_->bytes > 0) outcome.moved += into->splice_from(*pipe_);
  if (pipe_->bytes == 0) scratch.pipes().give_back(std::move(pipe_));
  return read.what != What::unclear;
}

// What waits, as far as the sink takes it.
void FlowMover::flush(Leg& sink, Scratch& scratch, Outcome& outcome) {
  if (!sink.writable()) return;
  if (pipe_ != nullptr) {
    outcome.moved += sink.tcp()->splice_from(*pipe_);
    if (pipe_->bytes == 0) release(scratch);
    return;
  }
  const std::size_t taken = sink.write({block_.get() + begin_, end_ - begin_}, urgent_);
  outcome.moved += taken;
  begin_ += static_cast<std::uint32_t>(taken);
  if (begin_ == end_) release(scratch);
}

void FlowMover::release(Scratch& scratch) {
  if (block_ != nullptr) {
    dropped_ += end_ - begin_;
    scratch.blocks().give_back(std::move(block_));
  }
  if (pipe_ != nullptr) {
    dropped_ += pipe_->bytes;
    scratch.pipes().give_back(std::move(pipe_));
  }
}

bool FlowMover::discard(Leg& source, Scratch& scratch, std::size_t budget) {
  std::size_t read = 0;
  while (source.readable() && read < budget) read += source.read(scratch.buffer()).count;
  dropped_ += read;
  return source.readable();
}

}  // namespace finhold::relay
