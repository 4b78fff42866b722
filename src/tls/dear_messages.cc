#include "tls/dear_messages.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace finhold::tls {
namespace {

using namespace std::string_view_literals;
using Bytes = std::span<const std::byte>;

constexpr std::size_t header = 4;  // type, length
constexpr std::byte client_hello{1};
constexpr std::byte certificate{11};
constexpr std::byte compressed_certificate{25};

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

// Takes bytes from the front; what is not there makes it fail.
class Reader {
 public:
  explicit Reader(Bytes bytes) : rest_(bytes) {}

  // A field whose length stands before it, in so many bytes; nothing if it is not whole.
  std::optional<Bytes> field(std::size_t length_size) {
    const auto length = take(length_size);
    if (!length) return std::nullopt;
    std::size_t size = 0;
    for (const std::byte each : *length) size = size << 8U | std::to_integer<std::size_t>(each);
    return take(size);
  }
  std::optional<Bytes> take(std::size_t size) {
    if (size > rest_.size()) return std::nullopt;
    const Bytes taken = rest_.first(size);
    rest_ = rest_.subspan(size);
    return taken;
  }
  [[nodiscard]] bool empty() const { return rest_.empty(); }

 private:
  Bytes rest_;
};

// RFC 8446 section 4.4.2. What is not of that form is left to OpenSSL, which decodes no further
// than that form goes.
const char* why_certificate(Reader message) {
  constexpr int most = 10;
  if (!message.field(1)) return nullptr;
  const auto list = message.field(3);
  if (!list) return nullptr;
  Reader entries(*list);
  for (int count = 0; !entries.empty(); ++count) {
    if (count == most) return "shows more than ten certificates";
    const auto one = entries.field(3);
    if (!one) break;
    if (has_unknown_point(*one)) {
      return "shows a certificate with a key of an elliptic curve that is not taken; P-256, P-384 "
             "and P-521 are, by name and with points that are not compressed";
    }
    if (!entries.field(2)) break;
  }
  return nullptr;
}

// RFC 8446 section 4.1.2.
const char* why_client_hello(Reader message) {
  constexpr std::size_t version_and_random = 2 + 32;
  constexpr std::size_t most = 2 + 2 * 64;
  const bool has_begin =
      message.take(version_and_random) && message.field(1) && message.field(2) && message.field(1);
  const auto extensions = has_begin ? message.field(2) : std::nullopt;
  if (!extensions) return nullptr;
  Reader each(*extensions);
  while (!each.empty()) {
    const auto type = each.take(2);
    const auto contents = type ? each.field(2) : std::nullopt;
    if (!contents) break;
    constexpr std::byte signature_algorithms{13};
    constexpr std::byte signature_algorithms_cert{50};
    const bool lists = (*type)[0] == std::byte{0} && ((*type)[1] == signature_algorithms ||
                                                      (*type)[1] == signature_algorithms_cert);
    if (lists && contents->size() > most) return "has more than 64 signature algorithms";
  }
  return nullptr;
}

}  // namespace

const char* why_too_dear(Bytes message) {
  if (message.size() <= header) return nullptr;
  const Reader contents(message.subspan(header));
  if (message[0] == certificate) return why_certificate(contents);
  if (message[0] == client_hello) return why_client_hello(contents);
  if (message[0] == compressed_certificate) return "sends a compressed certificate";
  return nullptr;
}

// A length that cannot be: of certificate_request_context, empty in a handshake, and of
// legacy_session_id, which has 32 bytes at most. Or an algorithm of compression that is none.
void spoil(std::span<std::byte> message) {
  constexpr std::size_t before_session_id = header + 2 + 32;
  message[message[0] == client_hello ? before_session_id : header] = std::byte{0xff};
}

bool has_unknown_point(Bytes certificates) {
  const std::string_view text(reinterpret_cast<const char*>(certificates.data()),
                              certificates.size());
  if (text.find(sm2) != std::string_view::npos) return true;
  for (std::size_t at = 0; (at = text.find(ec_public_key, at)) != std::string_view::npos;) {
    at += ec_public_key.size();
    const auto follows = [&](std::string_view one) { return text.substr(at).starts_with(one); };
    if (std::none_of(known.begin(), known.end(), follows)) return true;
  }
  return false;
}

}  // namespace finhold::tls
