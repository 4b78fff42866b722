#include "tls/certificate_message.h"

#include <algorithm>
#include <array>
#include <cstdint>

namespace finhold::tls {
namespace {

// The contents of id-ecPublicKey (RFC 5480 section 2.1.1), and of SM2's (draft-shen-sm2-ecdsa),
// whose parameters OpenSSL decodes in the same way.
constexpr std::array<std::uint8_t, 7> ec_public_key{0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01};
constexpr std::array<std::uint8_t, 8> sm2{0x2a, 0x81, 0x1c, 0xcf, 0x55, 0x01, 0x82, 0x2d};

constexpr std::byte object_identifier{0x06};  // the name of a curve

template <std::size_t size>
bool has_unnamed(std::span<const std::byte> message, const std::array<std::uint8_t, size>& of) {
  const auto is_same = [](std::byte one, std::uint8_t other) {
    return std::to_integer<std::uint8_t>(one) == other;
  };
  auto at = message.begin();
  while (true) {
    at = std::search(at, message.end(), of.begin(), of.end(), is_same);
    if (at == message.end()) return false;
    at += static_cast<std::ptrdiff_t>(of.size());
    if (at == message.end() || *at != object_identifier) return true;
  }
}

}  // namespace

bool has_own_curve(std::span<const std::byte> message) {
  return has_unnamed(message, ec_public_key) || has_unnamed(message, sm2);
}

}  // namespace finhold::tls
