// A bounded queue of bytes, of one block of a pool, which it has only while it is not empty.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/block_pool.h"

namespace finhold::http2 {

class RingBuffer {
 public:
  explicit RingBuffer(base::BlockPool& pool) : pool_(&pool) {}
  // What was moved from is empty.
  RingBuffer(RingBuffer&& other) noexcept;
  RingBuffer& operator=(RingBuffer&& other) noexcept;
  RingBuffer(const RingBuffer&) = delete;
  RingBuffer& operator=(const RingBuffer&) = delete;
  ~RingBuffer() { clear(); }

  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] std::size_t capacity() const { return pool_->block_size(); }
  [[nodiscard]] std::size_t free() const { return capacity() - size_; }

  // The first of the bytes after `skip` of them: all, or those before the memory wraps. Valid until
  // pop(). Requires skip <= size().
  [[nodiscard]] std::span<const std::byte> front(std::size_t skip = 0) const;
  // Requires count <= size().
  void pop(std::size_t count);

  // Memory for the next bytes: all that is free, or what lies before the memory wraps. To be
  // followed by push().
  [[nodiscard]] std::span<std::byte> back();
  // That many bytes, also none, were put there.
  void push(std::size_t count);

  // Copies as many as fit, and returns how many.
  std::size_t append(std::span<const std::byte> bytes);

  void clear();

 private:
  base::BlockPool* pool_;
  base::Block block_;
  std::size_t begin_ = 0;
  std::size_t size_ = 0;
};

}  // namespace finhold::http2
