#include "relay/scratch.h"

namespace finhold::relay {

Scratch::Scratch(std::size_t buffer_per_flow)
    : size_(buffer_per_flow), buffer_(std::make_unique_for_overwrite<std::byte[]>(size_)) {
  spare_.reserve(most_spare);
}

Block Scratch::take() {
  if (spare_.empty()) return std::make_unique_for_overwrite<std::byte[]>(size_);
  Block block = std::move(spare_.back());
  spare_.pop_back();
  return block;
}

void Scratch::give_back(Block block) {
  if (spare_.size() < most_spare) spare_.push_back(std::move(block));
}

}  // namespace finhold::relay
