#include "pattern.h"

#include <cstring>

namespace bench {
namespace {

constexpr std::size_t kPeriod = 65521;  // prime: no buffer size is a multiple of it

std::size_t offset(std::uint32_t flow, std::uint64_t position) {
  return static_cast<std::size_t>((std::uint64_t{flow} * 7919 + position) % kPeriod);
}

}  // namespace

Pattern::Pattern() : block_(kPeriod + kChunk) {
  std::uint64_t state = 0x9e3779b97f4a7c15;
  for (std::size_t i = 0; i < block_.size(); ++i) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    block_[i] = i < kPeriod ? static_cast<char>(state >> 32) : block_[i - kPeriod];
  }
}

std::span<const char> Pattern::at(std::uint32_t flow, std::uint64_t position,
                                  std::size_t length) const {
  return {block_.data() + offset(flow, position), length};
}

bool Pattern::matches(std::uint32_t flow, std::uint64_t position,
                      std::span<const char> bytes) const {
  return std::memcmp(block_.data() + offset(flow, position), bytes.data(), bytes.size()) == 0;
}

}  // namespace bench
