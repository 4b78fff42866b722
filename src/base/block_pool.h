// Memory for bytes that wait: blocks of one size, which a stream or a flow has only while bytes
// wait in it. One that is idle owns none.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

namespace finhold::base {

struct FreeBlock {
  void operator()(std::byte* block) const;
};

// Pages of its own, which go back to the system with it. malloc() takes what large blocks have left
// for a sign that more of them will come, and keeps their memory in its arenas from then on
// (mallopt(3), M_MMAP_THRESHOLD). Seen on 2026-11-26: tests/integration/operation/test_memory.py.
using Block = std::unique_ptr<std::byte[], FreeBlock>;

// One for a worker, on its thread; outlives everybody who has a block of it.
class BlockPool {
 public:
  explicit BlockPool(std::size_t block_size) : block_size_(block_size) {}
  BlockPool(const BlockPool&) = delete;
  BlockPool& operator=(const BlockPool&) = delete;
  ~BlockPool() { trim(); }

  [[nodiscard]] std::size_t block_size() const { return block_size_; }

  // Its pages cost memory only once they are written. Throws std::bad_alloc.
  [[nodiscard]] Block take();
  // Is kept for the next.
  void give_back(Block block);

  [[nodiscard]] std::size_t spare() const { return spare_.size(); }

  // To be called from time to time: lets go of blocks that nobody has needed since the last call,
  // so many at most (each costs some 50 us). False: nothing is spare any more.
  bool let_idle_go(std::size_t most);

  // Lets go of all that is spare: nobody has a block any more.
  void trim();

 private:
  std::size_t block_size_;
  std::vector<Block> spare_;     // the ones used last at the end
  std::size_t made_ = 0;         // that exist
  std::size_t least_spare_ = 0;  // since the last let_idle_go()
};

}  // namespace finhold::base
