// The bytes that every flow carries, and the check of those that arrive.
//
// One random block repeats with a prime period, and every flow starts at a place of its own in it.
// So each byte is known from its flow and position, a lost, doubled or swapped piece of any usual
// size (pages, buffers, powers of two) is seen, and sending and checking need no work but send and
// memcmp: both use the block in place.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace bench {

inline constexpr std::size_t kChunk = 256 * 1024;  // most bytes of one send or receive

class Pattern {
 public:
  Pattern();

  // The bytes of `flow` from `position` on; at most kChunk of them.
  std::span<const char> at(std::uint32_t flow, std::uint64_t position, std::size_t length) const;

  // Requires: at most kChunk bytes.
  bool matches(std::uint32_t flow, std::uint64_t position, std::span<const char> bytes) const;

 private:
  std::vector<char> block_;
};

}  // namespace bench
