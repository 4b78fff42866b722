#include "relay/scratch.h"

namespace finhold::relay {

Scratch::Scratch(net::Loop& loop, std::size_t buffer_per_flow, Splicing splicing,
                 std::size_t most_pipes)
    : size_(buffer_per_flow),
      splicing_(splicing),
      pipes_(loop, most_pipes),
      buffer_(std::make_unique_for_overwrite<std::byte[]>(size_)) {
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

void Scratch::trim() {
  spare_.clear();
  pipes_.trim();
}

}  // namespace finhold::relay
