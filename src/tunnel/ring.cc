#include "tunnel/ring.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/check.h"

namespace finhold::tunnel {

std::span<const std::byte> Ring::front() const {
  if (size_ == 0) return {};
  return {block_.get() + begin_, std::min(size_, capacity() - begin_)};
}

void Ring::pop(std::size_t count) {
  FINHOLD_CHECK(count <= front().size());
  begin_ += count;
  if (begin_ == capacity()) begin_ = 0;
  size_ -= count;
  if (size_ == 0) clear();
}

std::span<std::byte> Ring::back() {
  if (free() == 0) return {};
  if (!block_) block_ = pool_->take();
  const std::size_t end = begin_ + size_;
  if (end < capacity()) return {block_.get() + end, capacity() - end};
  return {block_.get() + (end - capacity()), free()};
}

void Ring::push(std::size_t count) {
  FINHOLD_CHECK(count <= free());
  size_ += count;
  if (size_ == 0) clear();
}

std::size_t Ring::append(std::span<const std::byte> bytes) {
  std::size_t taken = 0;
  while (taken < bytes.size() && free() > 0) {
    const auto room = back();
    const std::size_t count = std::min(room.size(), bytes.size() - taken);
    std::memcpy(room.data(), bytes.data() + taken, count);
    push(count);
    taken += count;
  }
  return taken;
}

// From the front again the next time: few bytes then touch few pages.
void Ring::clear() {
  if (block_) pool_->give_back(std::move(block_));
  begin_ = 0;
  size_ = 0;
}

}  // namespace finhold::tunnel
