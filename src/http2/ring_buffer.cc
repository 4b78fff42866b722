#include "http2/ring_buffer.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/check.h"

namespace finhold::http2 {

RingBuffer::RingBuffer(RingBuffer&& other) noexcept
    : pool_(other.pool_),
      block_(std::move(other.block_)),
      begin_(std::exchange(other.begin_, 0)),
      size_(std::exchange(other.size_, 0)) {}

RingBuffer& RingBuffer::operator=(RingBuffer&& other) noexcept {
  std::swap(pool_, other.pool_);
  std::swap(block_, other.block_);
  std::swap(begin_, other.begin_);
  std::swap(size_, other.size_);
  other.clear();
  return *this;
}

std::span<const std::byte> RingBuffer::front(std::size_t skip) const {
  FINHOLD_CHECK(skip <= size_);
  if (skip == size_) return {};
  std::size_t from = begin_ + skip;
  if (from >= capacity()) from -= capacity();
  return {block_.get() + from, std::min(size_ - skip, capacity() - from)};
}

void RingBuffer::pop(std::size_t count) {
  FINHOLD_CHECK(count <= size_);
  begin_ += count;
  if (begin_ >= capacity()) begin_ -= capacity();
  size_ -= count;
  if (size_ == 0) clear();
}

std::span<std::byte> RingBuffer::back() {
  if (free() == 0) return {};
  if (!block_) block_ = pool_->take();
  const std::size_t end = begin_ + size_;
  if (end < capacity()) return {block_.get() + end, capacity() - end};
  return {block_.get() + (end - capacity()), free()};
}

void RingBuffer::push(std::size_t count) {
  FINHOLD_CHECK(count <= free());
  size_ += count;
  if (size_ == 0) clear();
}

std::size_t RingBuffer::append(std::span<const std::byte> bytes) {
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
void RingBuffer::clear() {
  if (block_) pool_->give_back(std::move(block_));
  begin_ = 0;
  size_ = 0;
}

}  // namespace finhold::http2
