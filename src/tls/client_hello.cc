#include "tls/client_hello.h"

#include <algorithm>
#include <cstring>

namespace finhold::tls {
namespace {

constexpr std::byte handshake{22};

// Fills the header. How many bytes that takes.
template <std::size_t size>
std::size_t fill(std::array<std::byte, size>& header, std::size_t& filled,
                 std::span<const std::byte> bytes) {
  const std::size_t count = std::min(size - filled, bytes.size());
  std::memcpy(header.data() + filled, bytes.data(), count);
  filled += count;
  return count;
}

std::size_t number(std::span<const std::byte> bytes) {
  std::size_t value = 0;
  for (const std::byte byte : bytes) value = value << 8U | std::to_integer<std::size_t>(byte);
  return value;
}

}  // namespace

bool ClientHello::look(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    if (record_size_ < record_.size()) {
      bytes = bytes.subspan(fill(record_, record_size_, bytes));
      if (record_size_ < record_.size()) return true;
      record_left_ = number(std::span(record_).subspan(3));
    }
    const auto part = bytes.first(std::min(record_left_, bytes.size()));
    if (record_[0] == handshake && !look_inside(part)) return false;
    record_left_ -= part.size();
    bytes = bytes.subspan(part.size());
    if (record_left_ == 0) record_size_ = 0;
  }
  return true;
}

// Messages may go on in another record, and a record may have several.
bool ClientHello::look_inside(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    if (message_left_ == 0) {
      bytes = bytes.subspan(fill(message_, message_size_, bytes));
      if (message_size_ < message_.size()) return true;
      message_size_ = 0;
      message_left_ = number(std::span(message_).subspan(1));
      if (message_left_ > longest) return false;
    }
    const std::size_t count = std::min(message_left_, bytes.size());
    message_left_ -= count;
    bytes = bytes.subspan(count);
  }
  return true;
}

}  // namespace finhold::tls
