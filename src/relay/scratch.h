// The memory that moves bytes, one for each worker: a buffer that every session reads into, and
// blocks for what a slow reader has not taken yet. A session that has nothing waiting owns none of
// it.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

namespace finhold::relay {

using Block = std::unique_ptr<std::byte[]>;

// On the worker's thread.
class Scratch {
 public:
  // `buffer_per_flow`: the most that one flow may read at once, and so the most that it keeps.
  explicit Scratch(std::size_t buffer_per_flow);

  // Valid until the next read into it.
  [[nodiscard]] std::span<std::byte> buffer() { return {buffer_.get(), size_}; }

  // A block of buffer().size() bytes. Its pages cost memory only once they are written.
  Block take();
  void give_back(Block block);

 private:
  static constexpr std::size_t most_spare = 16;

  std::size_t size_;
  Block buffer_;
  std::vector<Block> spare_;
};

}  // namespace finhold::relay
