// The memory that moves bytes, one for each worker: a buffer that every session reads into, and
// blocks for what a slow reader has not taken yet. A session that has nothing waiting owns none of
// it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "net/pipe_pool.h"

namespace finhold::relay {

using Block = std::unique_ptr<std::byte[]>;

// Whether bytes go through a pipe instead of through our memory.
enum class Splicing : std::uint8_t {
  automatic,  // where a flow has many at a time
  never,
  always,  // to test it
};

// On the worker's thread.
class Scratch {
 public:
  // `buffer_per_flow`: the most that one flow may copy at once, and so the most that it keeps in
  // our memory. One that is spliced keeps up to a pipe in the kernel instead.
  Scratch(net::Loop& loop, std::size_t buffer_per_flow, Splicing splicing, std::size_t most_pipes);

  // Valid until the next read into it.
  [[nodiscard]] std::span<std::byte> buffer() { return {buffer_.get(), size_}; }

  // A block of buffer().size() bytes. Its pages cost memory only once they are written.
  Block take();
  void give_back(Block block);

  // Lets go of what is spare: there is no session any more.
  void trim();

  [[nodiscard]] Splicing splicing() const { return splicing_; }
  [[nodiscard]] net::PipePool& pipes() { return pipes_; }

 private:
  static constexpr std::size_t most_spare = 16;

  std::size_t size_;
  Splicing splicing_;
  net::PipePool pipes_;
  Block buffer_;
  std::vector<Block> spare_;
};

}  // namespace finhold::relay
