// How long a client says that its ClientHello is, before OpenSSL makes room for it: 43 bytes are
// enough to announce 128 KiB, and a thousand strangers would have that many of them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace finhold::tls {

// Looks at what comes from a client until its handshake is over. In TLS 1.3 a client says nothing
// in records of the type handshake but its hello, and another one if it was asked for that (RFC
// 8446 sections 4.1.2 and 5.1); the rest comes encrypted, as records of another type.
class ClientHello {
 public:
  // Bytes. Those of today have 300 to 2000.
  static constexpr std::uint32_t longest = 8U << 10;

  // To be shown every byte, once. False: a hello that is too long.
  [[nodiscard]] bool look(std::span<const std::byte> bytes);

 private:
  [[nodiscard]] bool look_inside(std::span<const std::byte> bytes);

  // Headers of a record (RFC 8446 section 5.1) and of a message (section 4), as far as they have
  // come.
  std::array<std::byte, 5> record_{};
  std::array<std::byte, 4> message_{};
  std::size_t record_size_ = 0;
  std::size_t message_size_ = 0;
  std::size_t record_left_ = 0;  // bytes of it that are still to come
  std::size_t message_left_ = 0;
};

}  // namespace finhold::tls
