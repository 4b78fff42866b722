#include "unit/http2/endpoint_pair.h"

namespace http2_pair {

namespace {

constexpr std::string_view magic = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

char byte(std::uint64_t value) { return static_cast<char>(value & 0xFF); }

// RFC 7541 section 5.1, with a prefix of 7 bits.
std::string length(std::size_t value) {
  if (value < 127) return {byte(value)};
  std::string text{byte(127)};
  for (value -= 127; value >= 128; value >>= 7) text += byte(0x80 | (value & 0x7F));
  return text + byte(value);
}

}  // namespace

std::string number(std::uint32_t value) {
  return {byte(value >> 24), byte(value >> 16), byte(value >> 8), byte(value)};
}

std::uint32_t number_in(std::string_view four_bytes) {
  std::uint32_t value = 0;
  for (const char one : four_bytes.substr(0, 4)) {
    value = value << 8 | static_cast<unsigned char>(one);
  }
  return value;
}

std::string frame(unsigned type, unsigned flags, std::uint32_t stream, std::string_view payload) {
  std::string text{byte(payload.size() >> 16), byte(payload.size() >> 8), byte(payload.size()),
                   byte(type), byte(flags)};
  return text + number(stream) + std::string(payload);
}

std::string fields(const std::vector<std::pair<std::string, std::string>>& list) {
  std::string block;
  for (const auto& [name, value] : list) {
    block += '\0';
    block += length(name.size());
    block += name;
    block += length(value.size());
    block += value;
  }
  return block;
}

std::string connect(std::uint32_t stream, const std::string& authority, unsigned flags) {
  return frame(HEADERS, flags, stream, fields({{":method", "CONNECT"}, {":authority", authority}}));
}

std::string client_preface() { return std::string(magic) + frame(SETTINGS, 0, 0, ""); }
std::string server_preface() { return frame(SETTINGS, 0, 0, "") + frame(SETTINGS, ACK, 0, ""); }

std::vector<Frame> frames(std::string_view bytes) {
  if (bytes.substr(0, magic.size()) == magic) bytes.remove_prefix(magic.size());
  std::vector<Frame> found;
  while (bytes.size() >= 9) {
    const std::size_t size = number_in(std::string(1, '\0') + std::string(bytes.substr(0, 3)));
    found.push_back({static_cast<unsigned char>(bytes[3]), static_cast<unsigned char>(bytes[4]),
                     number_in(bytes.substr(5)) & 0x7FFFFFFF, std::string(bytes.substr(9, size))});
    bytes.remove_prefix(std::min(bytes.size(), 9 + size));
  }
  return found;
}

std::string summary(std::string_view bytes) {
  static constexpr std::array names = {"DATA",          "HEADERS",      "PRIORITY", "RST_STREAM",
                                       "SETTINGS",      "PUSH_PROMISE", "PING",     "GOAWAY",
                                       "WINDOW_UPDATE", "CONTINUATION"};
  std::string text;
  for (const auto& one : frames(bytes)) {
    if (one.type == SETTINGS || one.type == WINDOW_UPDATE) continue;
    if (!text.empty()) text += ' ';
    text += names.at(one.type);
    text += ' ' + std::to_string(one.flags) + '/' + std::to_string(one.stream);
  }
  return text;
}

std::string pattern(std::size_t size, unsigned seed) {
  std::string text(size, '\0');
  std::uint32_t state = seed * 2654435761U + 1;
  for (char& one : text) {
    state = state * 1664525U + 1013904223U;
    one = byte(state >> 24);
  }
  return text;
}

}  // namespace http2_pair
