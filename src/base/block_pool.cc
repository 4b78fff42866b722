#include "base/block_pool.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <sanitizer/asan_interface.h>
#include <sys/mman.h>
#include <utility>

namespace finhold::base {
namespace {

// Before each block: how much was mapped. As much is left behind it, which AddressSanitizer guards.
constexpr std::size_t edge = 64;

Block make_block(std::size_t size) {
  const std::size_t mapped = size + 2 * edge;
  void* const memory =
      mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  std::memcpy(memory, &mapped, sizeof mapped);
  auto* const block = static_cast<std::byte*>(memory) + edge;
  ASAN_POISON_MEMORY_REGION(block + size, edge);
  return Block(block);
}

}  // namespace

void FreeBlock::operator()(std::byte* block) const {
  std::byte* const memory = block - edge;
  std::size_t mapped = 0;
  std::memcpy(&mapped, memory, sizeof mapped);
  ASAN_UNPOISON_MEMORY_REGION(memory, mapped);
  munmap(memory, mapped);
}

Block BlockPool::take() {
  if (spare_.empty()) {
    // First: nothing is allocated when it comes back.
    if (spare_.capacity() <= made_) spare_.reserve(2 * made_ + 16);
    Block block = make_block(block_size_);
    ++made_;
    return block;
  }
  Block block = std::move(spare_.back());
  spare_.pop_back();
  least_spare_ = std::min(least_spare_, spare_.size());
  ASAN_UNPOISON_MEMORY_REGION(block.get(), block_size_);
  return block;
}

void BlockPool::give_back(Block block) {
  ASAN_POISON_MEMORY_REGION(block.get(), block_size_);
  spare_.push_back(std::move(block));
}

bool BlockPool::let_idle_go(std::size_t most) {
  const std::size_t count = std::min(least_spare_, most);
  spare_.erase(spare_.begin(), spare_.begin() + static_cast<std::ptrdiff_t>(count));
  made_ -= count;
  least_spare_ = spare_.size();
  return !spare_.empty();
}

void BlockPool::trim() {
  made_ -= spare_.size();
  spare_.clear();
  least_spare_ = 0;
}

}  // namespace finhold::base
