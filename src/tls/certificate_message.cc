#include "tls/certificate_message.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <string_view>

namespace finhold::tls {
namespace {

using namespace std::string_view_literals;

// The contents of id-ecPublicKey (RFC 5480 section 2.1.1), and of SM2's (draft-shen-sm2-ecdsa),
// whose points OpenSSL decodes in the same way.
constexpr auto ec_public_key = "\x2a\x86\x48\xce\x3d\x02\x01"sv;
constexpr auto sm2 = "\x2a\x81\x1c\xcf\x55\x01\x82\x2d"sv;

// What follows it in DER: the name of the curve, and the head of a BIT STRING with a point that is
// not compressed (SEC 1 section 2.3.3).
constexpr std::array known = {
    "\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00\x04"sv,  // P-256
    "\x06\x05\x2b\x81\x04\x00\x22\x03\x62\x00\x04"sv,              // P-384
    "\x06\x05\x2b\x81\x04\x00\x23\x03\x81\x86\x00\x04"sv,          // P-521
};

}  // namespace

bool has_unknown_point(std::span<const std::byte> message) {
  const std::string_view text(reinterpret_cast<const char*>(message.data()), message.size());
  if (text.find(sm2) != text.npos) return true;
  for (std::size_t at = 0; (at = text.find(ec_public_key, at)) != text.npos;) {
    at += ec_public_key.size();
    const auto follows = [&](std::string_view one) { return text.substr(at).starts_with(one); };
    if (std::none_of(known.begin(), known.end(), follows)) return true;
  }
  return false;
}

}  // namespace finhold::tls
