// The memory that moves bytes, one for each worker: a buffer that every session reads into, and
// blocks for what a slow reader has not taken yet. A session that has nothing waiting owns none of
// it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "base/block_pool.h"
#include "net/pipe_pool.h"
#include "relay/route.h"

namespace finhold::relay {

// On the worker's thread.
class Scratch {
 public:
  // `buffer_per_flow`: the most that one flow may copy at once, and so the most that it keeps in
  // our memory. One that is spliced keeps up to a pipe in the kernel instead.
  Scratch(net::Loop& loop, std::size_t buffer_per_flow, Splicing splicing, std::size_t most_pipes);

  // Valid until the next read into it.
  [[nodiscard]] std::span<std::byte> buffer() { return {buffer_.get(), blocks_.block_size()}; }

  // Of buffer().size() bytes each.
  [[nodiscard]] base::BlockPool& blocks() { return blocks_; }

  // Lets go of what is spare: there is no session any more.
  void trim();

  [[nodiscard]] Splicing splicing() const { return splicing_; }
  [[nodiscard]] net::PipePool& pipes() { return pipes_; }

 private:
  Splicing splicing_;
  net::PipePool pipes_;
  base::BlockPool blocks_;
  std::unique_ptr<std::byte[]> buffer_;
};

}  // namespace finhold::relay
