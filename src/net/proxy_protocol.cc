#include "net/proxy_protocol.h"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <charconv>
#include <cstring>
#include <string_view>

#include "base/port_range.h"

namespace finhold::net {
namespace {

using What = ProxyHeaderRead::What;
using base::Address;

constexpr std::string_view signature_v1 = "PROXY ";
constexpr std::string_view signature_v2("\x0D\x0A\x0D\x0A\x00\x0D\x0A\x51\x55\x49\x54\x0A", 12);
constexpr std::string_view line_end = "\r\n";

constexpr std::size_t longest_line = 107;  // PP 2.1, with its end
constexpr std::size_t fixed_part = 16;     // of v2: signature, command, family, length

constexpr unsigned version_2 = 0x20;
constexpr unsigned command_proxy = 1;  // 0 is LOCAL
constexpr unsigned tcp_over_ipv4 = 0x11;
constexpr unsigned tcp_over_ipv6 = 0x21;
constexpr unsigned last_family = 3;
constexpr unsigned last_protocol = 2;

constexpr std::size_t tlv_head = 3;
constexpr unsigned tlv_crc32c = 3;
constexpr std::size_t crc_size = 4;

const ProxyHeaderRead needs_more{};
ProxyHeaderRead invalid(const char* mistake) { return {What::invalid, mistake, 0, std::nullopt}; }

unsigned byte_at(std::string_view bytes, std::size_t place) {
  return static_cast<unsigned char>(bytes[place]);
}

std::size_t length_at(std::string_view bytes, std::size_t place) {
  return byte_at(bytes, place) << 8U | byte_at(bytes, place + 1);
}

// Whether one is the beginning of the other.
bool agree(std::string_view bytes, std::string_view expected) {
  const std::size_t length = std::min(bytes.size(), expected.size());
  return bytes.substr(0, length) == expected.substr(0, length);
}

Address address_of(int family, const void* host, std::uint16_t port) {
  sockaddr_in v4{};
  sockaddr_in6 v6{};
  if (family == AF_INET) {
    v4.sin_family = AF_INET;
    std::memcpy(&v4.sin_addr, host, sizeof v4.sin_addr);
    return Address::from(reinterpret_cast<const sockaddr*>(&v4)).with_port(port);
  }
  v6.sin6_family = AF_INET6;
  std::memcpy(&v6.sin6_addr, host, sizeof v6.sin6_addr);
  return Address::from(reinterpret_cast<const sockaddr*>(&v6)).with_port(port);
}

// ----- Version 1 (PP 2.1) -----

// Cuts a field off, with the space behind it. Of the last field there is none: then all is it.
std::string_view next_field(std::string_view& rest) {
  const auto space = std::min(rest.find(' '), rest.size());
  const auto field = rest.substr(0, space);
  rest.remove_prefix(std::min(space + 1, rest.size()));
  return field;
}

// A group of more than four digits is no IPv6, though some inet_pton() let it pass.
bool has_long_group(std::string_view text) {
  std::size_t digits = 0;
  for (const char c : text) {
    digits = c == ':' || c == '.' ? 0 : digits + 1;
    if (digits > 4) return true;
  }
  return false;
}

// IPv6 may end in a dotted IPv4 address: HAProxy and nginx write mapped addresses so.
bool read_host(int family, std::string_view field, in6_addr& host) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (field.size() >= text.size() || has_long_group(field)) return false;
  std::copy(field.begin(), field.end(), text.begin());
  return inet_pton(family, text.data(), &host) == 1;
}

// The line without "PROXY TCP4 " and its end.
ProxyHeaderRead read_fields(int family, std::string_view fields, std::size_t length) {
  if (std::count(fields.begin(), fields.end(), ' ') != 3) {
    return invalid("the line has not four fields with one space between them");
  }
  const char* const bad_host =
      family == AF_INET ? "an address is not IPv4 in plain form" : "an address is not IPv6";
  in6_addr source{};
  in6_addr destination{};
  if (!read_host(family, next_field(fields), source)) return invalid(bad_host);
  if (!read_host(family, next_field(fields), destination)) return invalid(bad_host);
  const auto source_port = base::parse_port(next_field(fields));
  const auto destination_port = base::parse_port(next_field(fields));
  if (!source_port || !destination_port) {
    return invalid("a port is not a number from 0 to 65535 without extra zeros");
  }
  return {What::complete, "", length,
          AddressPair{address_of(family, &source, *source_port),
                      address_of(family, &destination, *destination_port)}};
}

ProxyHeaderRead read_v1(std::string_view bytes) {
  const std::string_view start = bytes.substr(0, longest_line);
  const auto end = start.find(line_end);
  const bool whole = end != std::string_view::npos;
  const std::string_view line = start.substr(0, end);
  const std::size_t length = end + line_end.size();
  std::string_view rest = line.substr(std::min(signature_v1.size(), line.size()));

  // "UNKNOWN", and then anything that there may be up to the end of the line is to be ignored.
  constexpr std::string_view unknown = "UNKNOWN";
  if (!rest.empty() && rest.front() == unknown.front()) {
    const std::string_view behind = rest.substr(std::min(unknown.size(), rest.size()));
    const bool good = agree(rest, unknown) &&
                      (behind.empty() || behind.front() == ' ' || (!whole && behind == "\r"));
    if (!good || (whole && rest.size() < unknown.size())) {
      return invalid("the word behind PROXY is none of TCP4, TCP6 and UNKNOWN");
    }
    if (whole) return {What::complete, "", length, std::nullopt};
    if (start.size() == longest_line) return invalid("the line has no CRLF in its 107 bytes");
    return needs_more;
  }

  // Judged as early as possible, so that the sender learns of it. The addresses are read only once
  // the line is whole.
  constexpr std::string_view tcp4 = "TCP4 ";
  constexpr std::string_view tcp6 = "TCP6 ";
  const bool v4 = agree(rest, tcp4);
  if ((!v4 && !agree(rest, tcp6)) || (whole && rest.size() < tcp4.size())) {
    return invalid("the word behind PROXY is none of TCP4, TCP6 and UNKNOWN");
  }
  rest.remove_prefix(std::min(tcp4.size(), rest.size()));
  const auto odd = rest.find_first_not_of("0123456789abcdefABCDEF:. ");
  const bool half_an_end = !whole && odd != std::string_view::npos && rest.substr(odd) == "\r";
  if (odd != std::string_view::npos && !half_an_end) {
    return invalid("the line has a character that no address or port has");
  }
  if (whole) return read_fields(v4 ? AF_INET : AF_INET6, rest, length);
  if (start.size() == longest_line) return invalid("the line has no CRLF in its 107 bytes");
  return needs_more;
}

// ----- Version 2 (PP 2.2) -----

// RFC 9260 appendix A (before: RFC 4960 appendix B). Bit by bit: it is rare and short.
std::uint32_t crc32c(std::string_view bytes) {
  constexpr std::uint32_t reversed_polynomial = 0x82F63B78;
  std::uint32_t crc = 0xFFFFFFFF;
  for (const char byte : bytes) {
    crc ^= static_cast<unsigned char>(byte);
    for (int bit = 0; bit < 8; ++bit) {
      crc = (crc >> 1) ^ ((crc & 1) != 0 ? reversed_polynomial : 0);
    }
  }
  return ~crc;
}

// PP 2.2.3. `place` is that of the checksum in the header.
bool checksum_is_right(std::string_view header, std::size_t place) {
  std::uint32_t told = 0;
  std::string zeroed(header);
  std::memcpy(&told, header.data() + place, crc_size);
  zeroed.replace(place, crc_size, crc_size, '\0');
  return ntohl(told) == crc32c(zeroed);
}

// From that place to the end of the header. What is wrong with them, or nothing.
const char* tlv_mistake(std::string_view header, std::size_t place) {
  while (place < header.size()) {
    if (header.size() - place < tlv_head) return "a TLV is cut off by the end of the header";
    const unsigned type = byte_at(header, place);
    const std::size_t length = length_at(header, place + 1);
    place += tlv_head;
    if (length > header.size() - place) return "a TLV is longer than the header";
    if (type == tlv_crc32c) {
      if (length != crc_size) return "the checksum has not 4 bytes";
      if (!checksum_is_right(header, place)) return "the checksum (CRC32C) is wrong";
    }
    place += length;
  }
  return nullptr;
}

ProxyHeaderRead read_v2(std::string_view bytes) {
  if (bytes.size() > 12 && (byte_at(bytes, 12) & 0xF0U) != version_2) {
    return invalid("the version behind the signature is not 2");
  }
  if (bytes.size() < 13) return needs_more;
  const unsigned command = byte_at(bytes, 12) & 0x0FU;
  if (command > command_proxy) return invalid("the command is neither LOCAL nor PROXY");
  if (bytes.size() < 14) return needs_more;
  const unsigned transport = byte_at(bytes, 13);
  // The family of a LOCAL header is to be ignored.
  if (command == command_proxy &&
      (transport >> 4 > last_family || (transport & 0x0FU) > last_protocol)) {
    return invalid("the address family or the transport protocol is not known");
  }
  if (bytes.size() < fixed_part) return needs_more;
  const std::size_t length = fixed_part + length_at(bytes, 14);
  if (length > longest_proxy_header) return invalid("the header is longer than 4096 bytes");
  const bool v4 = transport == tcp_over_ipv4;
  const bool tells = command == command_proxy && (v4 || transport == tcp_over_ipv6);
  const std::size_t host = v4 ? sizeof(in_addr) : sizeof(in6_addr);
  const std::size_t ports = fixed_part + 2 * host;
  if (tells && length < ports + 4) return invalid("the header is too short for its addresses");
  if (bytes.size() < length) return needs_more;
  if (!tells) return {What::complete, "", length, std::nullopt};

  const std::string_view header = bytes.substr(0, length);
  if (const char* mistake = tlv_mistake(header, ports + 4)) return invalid(mistake);
  const int family = v4 ? AF_INET : AF_INET6;
  const auto port_at = [header](std::size_t place) {
    return static_cast<std::uint16_t>(length_at(header, place));
  };
  const char* const hosts = header.data() + fixed_part;
  return {What::complete, "", length,
          AddressPair{address_of(family, hosts, port_at(ports)),
                      address_of(family, hosts + host, port_at(ports + 2))}};
}

// ----- Writing -----

// As IPv6, an IPv4 one mapped.
in6_addr v6_host(const Address& address) {
  in6_addr host{};
  if (address.family() == AF_INET6) {
    std::memcpy(&host, &reinterpret_cast<const sockaddr_in6*>(address.raw())->sin6_addr,
                sizeof host);
    return host;
  }
  host.s6_addr[10] = host.s6_addr[11] = 0xFF;
  std::memcpy(&host.s6_addr[12], &reinterpret_cast<const sockaddr_in*>(address.raw())->sin_addr,
              sizeof(in_addr));
  return host;
}

// inet_ntop() ends a mapped address in a dotted one, which a version 1 line may not have.
std::string v6_text(const in6_addr& host) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  inet_ntop(AF_INET6, &host, text.data(), text.size());
  if (std::string_view(text.data()).find('.') == std::string_view::npos) return text.data();
  std::string groups;
  for (std::size_t i = 0; i < 16; i += 2) {
    const unsigned group = static_cast<unsigned>(host.s6_addr[i]) << 8U | host.s6_addr[i + 1];
    const auto end = std::to_chars(text.data(), text.data() + text.size(), group, 16).ptr;
    groups += (i == 0 ? "" : ":") + std::string(text.data(), end);
  }
  return groups;
}

template <typename Value>
void append(std::string& bytes, const Value& value) {
  bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
}

}  // namespace

ProxyHeaderRead read_proxy_header(std::span<const std::byte> bytes) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (text.empty()) return needs_more;
  if (agree(text, signature_v1))
    return text.size() < signature_v1.size() ? needs_more : read_v1(text);
  if (agree(text, signature_v2)) return read_v2(text);
  return invalid("the connection does not begin with a PROXY protocol header");
}

std::string proxy_header(ProxyVersion version, const AddressPair& addresses) {
  const Address source = addresses.source.unmapped();
  const Address destination = addresses.destination.unmapped();
  const bool v4 = source.family() == AF_INET && destination.family() == AF_INET;
  std::array<in6_addr, 2> hosts{v6_host(source), v6_host(destination)};

  if (version == ProxyVersion::v1) {
    const auto host = [v4](const in6_addr& address) {
      std::array<char, INET_ADDRSTRLEN> text{};
      if (!v4) return v6_text(address);
      inet_ntop(AF_INET, &address.s6_addr[12], text.data(), text.size());
      return std::string(text.data());
    };
    return std::string(signature_v1) + (v4 ? "TCP4 " : "TCP6 ") + host(hosts[0]) + " " +
           host(hosts[1]) + " " + std::to_string(source.port()) + " " +
           std::to_string(destination.port()) + std::string(line_end);
  }

  std::string header(signature_v2);
  header += static_cast<char>(version_2 | command_proxy);
  header += static_cast<char>(v4 ? tcp_over_ipv4 : tcp_over_ipv6);
  const std::size_t host_size = v4 ? sizeof(in_addr) : sizeof(in6_addr);
  append(header, htons(static_cast<std::uint16_t>(2 * host_size + 4)));
  for (const in6_addr& host : hosts) {
    header.append(reinterpret_cast<const char*>(host.s6_addr) + (sizeof host - host_size),
                  host_size);
  }
  append(header, htons(source.port()));
  append(header, htons(destination.port()));
  return header;
}

}  // namespace finhold::net
