// The memory of the streams' buffers: blocks of one size, which a stream has only while bytes wait
// in it. A stream that is idle owns none.
#pragma once

#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

namespace finhold::tunnel {

using Block = std::unique_ptr<std::byte[]>;

// One for a worker, on its thread; outlives every connection that uses it.
class BlockPool {
 public:
  explicit BlockPool(std::size_t block_size) : block_size_(block_size) {
    spare_.reserve(most_spare);
  }

  [[nodiscard]] std::size_t block_size() const { return block_size_; }

  // Its pages cost memory only once they are written.
  [[nodiscard]] Block take() {
    if (spare_.empty()) return std::make_unique_for_overwrite<std::byte[]>(block_size_);
    Block block = std::move(spare_.back());
    spare_.pop_back();
    return block;
  }

  void give_back(Block block) {
    if (spare_.size() < most_spare) spare_.push_back(std::move(block));
  }

  // Lets go of what is spare: there is no stream any more.
  void trim() { spare_.clear(); }

 private:
  static constexpr std::size_t most_spare = 16;

  std::size_t block_size_;
  std::vector<Block> spare_;
};

}  // namespace finhold::tunnel
