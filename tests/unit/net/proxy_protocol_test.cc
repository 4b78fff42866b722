// The PROXY protocol's header: every truncation, every changed byte, every limit.
#include "net/proxy_protocol.h"

#include <initializer_list>
#include <string>
#include <string_view>

#include <doctest/doctest.h>

using finhold::base::Address;
using finhold::net::proxy_header;
using finhold::net::ProxyHeaderRead;
using finhold::net::ProxyVersion;
using What = ProxyHeaderRead::What;

namespace {

const std::string signature("\x0D\x0A\x0D\x0A\x00\x0D\x0A\x51\x55\x49\x54\x0A", 12);

ProxyHeaderRead read(std::string_view bytes) {
  return finhold::net::read_proxy_header(std::as_bytes(std::span(bytes)));
}

// "192.0.2.7:40000 > 10.0.0.5:80 (42)", "own addresses (15)", "needs more", or the mistake.
std::string told(std::string_view bytes) {
  const auto header = read(bytes);
  switch (header.what) {
    case What::needs_more:
      return "needs more";
    case What::invalid:
      return header.mistake;
    case What::complete:
      break;
  }
  const std::string length = " (" + std::to_string(header.length) + ")";
  if (!header.addresses) return "own addresses" + length;
  return header.addresses->source.text() + " > " + header.addresses->destination.text() + length;
}

std::string line(std::string_view fields) { return "PROXY " + std::string(fields) + "\r\n"; }

std::string v2(unsigned command, unsigned family, std::string_view rest) {
  std::string header = signature;
  header += static_cast<char>(command);
  header += static_cast<char>(family);
  header += static_cast<char>(rest.size() >> 8);
  header += static_cast<char>(rest.size() & 0xFF);
  return header + std::string(rest);
}

// 192.0.2.7:40000 > 10.0.0.5:80
const std::string v4_block("\xC0\x00\x02\x07\x0A\x00\x00\x05\x9C\x40\x00\x50", 12);
const std::string v6_block = std::string("\x20\x01\x0D\xB8\0\0\0\0\0\0\0\0\0\0\0\x07", 16) +
                             std::string("\x20\x01\x0D\xB8\0\0\0\0\0\0\0\0\0\0\0\x05", 16) +
                             "\x9C\x40" + std::string("\x00\x50", 2);

std::string tlv(unsigned type, std::string_view value) {
  std::string bytes(1, static_cast<char>(type));
  bytes += static_cast<char>(value.size() >> 8);
  bytes += static_cast<char>(value.size() & 0xFF);
  return bytes + std::string(value);
}

Address address(const std::string& text) {
  const auto parsed = Address::parse(text);
  REQUIRE_MESSAGE(parsed.ok(), text);
  return parsed.value();
}

std::string written(ProxyVersion version, const std::string& source,
                    const std::string& destination) {
  return proxy_header(version, {address(source), address(destination)});
}

const std::string word_mistake = "the word behind PROXY is none of TCP4, TCP6 and UNKNOWN";
const std::string field_mistake = "the line has not four fields with one space between them";
const std::string character_mistake = "the line has a character that no address or port has";
const std::string v4_mistake = "an address is not IPv4 in plain form";
const std::string v6_mistake = "an address is not IPv6";
const std::string port_mistake = "a port is not a number from 0 to 65535 without extra zeros";
const std::string length_mistake = "the line has no CRLF in its 107 bytes";
const std::string start_mistake = "the connection does not begin with a PROXY protocol header";
const std::string family_mistake = "the address family or the transport protocol is not known";

// One of each kind.
const std::initializer_list<std::string> valid_headers{
    line("TCP4 192.0.2.7 10.0.0.5 40000 80"),
    line("TCP4 255.255.255.255 255.255.255.255 65535 65535"),
    line("TCP6 2001:db8::7 2001:db8::5 40000 80"),
    line("TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
         "65535 65535"),
    line("UNKNOWN"),
    line("UNKNOWN whatever \t\r it\n is"),
    v2(0x21, 0x11, v4_block),
    v2(0x21, 0x21, v6_block),
    v2(0x21, 0x11, v4_block + tlv(0x04, "") + tlv(0x02, "example.net")),
    v2(0x20, 0x00, ""),
    v2(0x20, 0x11, v4_block),
    v2(0x21, 0x00, "anything"),
    v2(0x21, 0x31, std::string(216, 'u')),
};

}  // namespace

TEST_CASE("version 1 tells the client's addresses") {
  CHECK(told(line("TCP4 192.0.2.7 10.0.0.5 40000 80")) == "192.0.2.7:40000 > 10.0.0.5:80 (40)");
  CHECK(told(line("TCP4 0.0.0.0 255.255.255.255 0 65535")) ==
        "0.0.0.0:0 > 255.255.255.255:65535 (44)");
  CHECK(told(line("TCP6 2001:db8::7 2001:DB8:0:0:0:0:0:5 40000 80")) ==
        "[2001:db8::7]:40000 > [2001:db8::5]:80 (54)");
  CHECK(told(line("TCP6 ::ffff:192.0.2.7 ::ffff:a00:5 1 2")) == "192.0.2.7:1 > 10.0.0.5:2 (46)");
}

TEST_CASE("version 1 UNKNOWN keeps the connection's own addresses, whatever stands behind it") {
  CHECK(told(line("UNKNOWN")) == "own addresses (15)");
  CHECK(told(line("UNKNOWN ")) == "own addresses (16)");
  CHECK(told(line("UNKNOWN ffff::1 ffff::2 1 2")) == "own addresses (35)");
  CHECK(told(line("UNKNOWN \xFF\r\t\n")) == "own addresses (20)");
  CHECK(told(line("UNKNOWN " + std::string(91, 'x'))) == "own addresses (107)");
  CHECK(told(line("UNKNOWN " + std::string(92, 'x'))) == length_mistake);
  CHECK(told(line("UNKNOWNX")) == word_mistake);
  CHECK(told(line("UNKNOWN\r")) == word_mistake);
  CHECK(told("PROXY UNKNOWN\n") == word_mistake);
}

TEST_CASE("version 1 is taken strictly") {
  for (const char* word :
       {"", "TCP", "TCP4", "TCP5 1.1.1.1 1.1.1.1 1 1", "tcp4 1.1.1.1 1.1.1.1 1 1",
        " TCP4 1.1.1.1 1.1.1.1 1 1", "UDP4 1.1.1.1 1.1.1.1 1 1", "UNKNOW"}) {
    CHECK_MESSAGE(told(line(word)) == word_mistake, word);
  }
  for (const char* fields : {"TCP4 ", "TCP4 1.1.1.1 1.1.1.1 1", "TCP4 1.1.1.1 1.1.1.1 1 1 ",
                             "TCP4 1.1.1.1 1.1.1.1 1 1 1", "TCP4  1.1.1.1 1.1.1.1 1 1"}) {
    CHECK_MESSAGE(told(line(fields)) == field_mistake, fields);
  }
  for (const char* host : {"1.1.1", "01.1.1.1", "1.1.1.256", "1.1.1.1.1", "::1", "1.1.1.1:1",
                           "1..1.1", "", "0001.1.1.1", "16843009", "ff.1.1.1"}) {
    CHECK_MESSAGE(told(line("TCP4 " + std::string(host) + " 1.1.1.1 1 1")) == v4_mistake, host);
    CHECK_MESSAGE(told(line("TCP4 1.1.1.1 " + std::string(host) + " 1 1")) == v4_mistake, host);
  }
  for (const char* host : {"1.1.1.1", "1::2::3", ":1", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7",
                           "12345::", "00001::", ":::", "", "::1.1.1.256"}) {
    CHECK_MESSAGE(told(line("TCP6 " + std::string(host) + " ::1 1 1")) == v6_mistake, host);
    CHECK_MESSAGE(told(line("TCP6 ::1 " + std::string(host) + " 1 1")) == v6_mistake, host);
  }
  for (const char* port : {"65536", "01", "00", "", "a", "1.1", "99999999999999999999"}) {
    CHECK_MESSAGE(told(line("TCP4 1.1.1.1 1.1.1.1 " + std::string(port) + " 1")) == port_mistake,
                  port);
    CHECK_MESSAGE(told(line("TCP4 1.1.1.1 1.1.1.1 1 " + std::string(port))) == port_mistake, port);
  }
  for (const char* odd : {"TCP4 1.1.1.1 1.1.1.1 +1 1", "TCP4 1.1.1.1 1.1.1.1 1 -1",
                          "TCP4 1.1.1.1\t1.1.1.1 1 1", "TCP6 ::1%lo ::1 1 1", "TCP6 [::1] ::1 1 1",
                          "TCP4 1.1.1.1 1.1.1.1 1 1\n", "TCP4 1.1.1.1 1.1.1.1 1 1\r"}) {
    CHECK_MESSAGE(told(line(odd)) == character_mistake, odd);
  }
  CHECK(told(line(std::string("TCP4 1.1.1.1\0 1.1.1.1 1 1", 25))) == character_mistake);
}

TEST_CASE("a version 1 line ends in CRLF, and in nothing else") {
  const std::string start = "PROXY TCP4 192.0.2.7 10.0.0.5 40000 80";
  CHECK(told(start) == "needs more");
  CHECK(told(start + "\r") == "needs more");
  CHECK(told(start + "\n") == character_mistake);
  CHECK(told(start + "\n\r\n") == character_mistake);
  CHECK(told(start + "\rx") == character_mistake);
  CHECK(told(start + "\r\r\n") == character_mistake);
  CHECK(told("PROXY\r\n") == start_mistake);
}

TEST_CASE("a version 1 line of more than 107 bytes is refused at its 107th") {
  for (const std::string start : {"PROXY TCP4 ", "PROXY TCP6 ", "PROXY UNKNOWN "}) {
    CHECK(told(start + std::string(106 - start.size(), '1')) == "needs more");
    CHECK(told(start + std::string(107 - start.size(), '1')) == length_mistake);
    CHECK(told(start + std::string(106 - start.size(), '1') + "\r\n") == length_mistake);
    CHECK(told(start + std::string(5000, '1')) == length_mistake);
  }
}

TEST_CASE("version 2 tells the client's addresses") {
  CHECK(told(v2(0x21, 0x11, v4_block)) == "192.0.2.7:40000 > 10.0.0.5:80 (28)");
  CHECK(told(v2(0x21, 0x21, v6_block)) == "[2001:db8::7]:40000 > [2001:db8::5]:80 (52)");
}

TEST_CASE("version 2 LOCAL keeps the connection's own addresses, whatever family it names") {
  CHECK(told(v2(0x20, 0x00, "")) == "own addresses (16)");
  CHECK(told(v2(0x20, 0x11, v4_block)) == "own addresses (28)");
  CHECK(told(v2(0x20, 0xFF, "ignored")) == "own addresses (23)");
}

TEST_CASE("version 2 families that are not TCP over IP keep the connection's own addresses") {
  for (const unsigned family :
       {0x00U, 0x01U, 0x02U, 0x10U, 0x20U, 0x30U, 0x12U, 0x22U, 0x31U, 0x32U}) {
    CHECK(told(v2(0x21, family, std::string(216, 'x'))) == "own addresses (232)");
    CHECK(told(v2(0x21, family, "")) == "own addresses (16)");
  }
}

TEST_CASE("version 2 is refused for another version, command, family or protocol, at once") {
  for (unsigned byte = 0; byte < 256; ++byte) {
    const std::string start = signature + static_cast<char>(byte);
    const std::string expected = byte >> 4 != 2    ? "the version behind the signature is not 2"
                                 : (byte & 15) > 1 ? "the command is neither LOCAL nor PROXY"
                                                   : "needs more";
    CHECK(told(start) == expected);
    CHECK(told(signature + '\x21' + static_cast<char>(byte)) ==
          (byte >> 4 > 3 || (byte & 15) > 2 ? family_mistake : "needs more"));
  }
}

TEST_CASE("version 2 headers that are too short for their addresses, or too long, are refused") {
  for (std::size_t size = 0; size < 12; ++size) {
    CHECK(told(v2(0x21, 0x11, v4_block.substr(0, size))) ==
          "the header is too short for its addresses");
  }
  for (std::size_t size = 0; size < 36; ++size) {
    CHECK(told(v2(0x21, 0x21, v6_block.substr(0, size))) ==
          "the header is too short for its addresses");
  }
  CHECK(told(v2(0x20, 0x00, std::string(4080, 'x'))) == "own addresses (4096)");
  CHECK(told(v2(0x20, 0x00, std::string(4081, 'x')).substr(0, 16)) ==
        "the header is longer than 4096 bytes");
  CHECK(told(v2(0x21, 0x11, std::string(65535, 'x'))) == "the header is longer than 4096 bytes");
}

TEST_CASE("version 2 TLVs are skipped, but must be well-formed") {
  const auto with = [](const std::string& tlvs) { return told(v2(0x21, 0x11, v4_block + tlvs)); };
  CHECK(with(tlv(0x01, "h2") + tlv(0xEA, std::string(300, '\0'))) ==
        "192.0.2.7:40000 > 10.0.0.5:80 (336)");
  CHECK(with("\x04") == "a TLV is cut off by the end of the header");
  CHECK(with(std::string("\x04\x00", 2)) == "a TLV is cut off by the end of the header");
  CHECK(with(std::string("\x04\x00\x01", 3)) == "a TLV is longer than the header");
  CHECK(with(tlv(4, "") + "\x04\xFF\xFFxyz") == "a TLV is longer than the header");
}

TEST_CASE("a version 2 checksum is verified") {
  // The value was computed by another program, which gives RFC 3720 appendix B.4's for 32 zeros.
  const std::string start = v4_block + tlv(0x04, "ab");
  const std::string good = v2(0x21, 0x11, start + tlv(0x03, "\xEC\x78\x1E\xB9"));
  CHECK(told(good) == "192.0.2.7:40000 > 10.0.0.5:80 (40)");
  // A changed bit anywhere in addresses, TLV values or the checksum itself.
  for (const std::size_t place : {16U, 19U, 20U, 24U, 26U, 27U, 31U, 32U, 36U, 39U}) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string changed = good;
      changed[place] = static_cast<char>(changed[place] ^ (1 << bit));
      CHECK(told(changed) == "the checksum (CRC32C) is wrong");
    }
  }
  CHECK(told(v2(0x21, 0x11, v4_block + tlv(0x03, "abc"))) == "the checksum has not 4 bytes");
  CHECK(told(v2(0x21, 0x11, v4_block + tlv(0x03, ""))) == "the checksum has not 4 bytes");
  CHECK(told(v2(0x20, 0x11, v4_block + tlv(0x03, "abcd"))) == "own addresses (35)");
}

TEST_CASE("every truncation of a valid header needs more") {
  for (const std::string& header : valid_headers) {
    const auto whole = read(header);
    REQUIRE(whole.what == What::complete);
    CHECK(whole.length == header.size());
    for (std::size_t length = 0; length < header.size(); ++length) {
      // In memory of its own, so that AddressSanitizer sees a byte read too far.
      const std::string truncated(header, 0, length);
      CHECK_MESSAGE(told(truncated) == "needs more", header, " cut to ", length);
    }
  }
}

TEST_CASE("what stands behind a header is not touched") {
  for (const std::string& header : valid_headers) {
    for (const std::string& behind : {std::string("x"), header, std::string(5000, '\n')}) {
      CHECK(told(header + behind) == told(header));
    }
  }
}

TEST_CASE("every changed byte is judged, and a verdict holds for whatever follows") {
  for (const std::string& header : valid_headers) {
    for (std::size_t place = 0; place < header.size(); ++place) {
      for (unsigned byte = 0; byte < 256; ++byte) {
        std::string changed = header;
        changed[place] = static_cast<char>(byte);
        const auto verdict = read(changed);
        if (verdict.what == What::complete) REQUIRE(verdict.length <= changed.size());
        if (verdict.what != What::needs_more) {
          REQUIRE(told(changed + "tail") == told(changed));
        }
        // Signature, command and line end have no second form: v1 in its first five bytes and its
        // spaces, v2 in its first twelve.
        const bool v1 = header.front() == 'P';
        if (byte != static_cast<unsigned char>(header[place]) && place < (v1 ? 6U : 12U)) {
          REQUIRE(verdict.what == What::invalid);
        }
      }
    }
  }
}

TEST_CASE("what is no header is refused at the first byte that shows it") {
  CHECK(told("") == "needs more");
  for (unsigned byte = 0; byte < 256; ++byte) {
    const std::string one(1, static_cast<char>(byte));
    CHECK(told(one) == (one == "P" || one == "\r" ? "needs more" : start_mistake));
  }
  CHECK(told("GET / HTTP/1.1\r\n") == start_mistake);
  CHECK(told("PRO\n") == start_mistake);
  CHECK(told("POST") == start_mistake);
  CHECK(told("\r\n\r\nQUIT") == start_mistake);
  CHECK(told(" PROXY TCP4 1.1.1.1 1.1.1.1 1 1\r\n") == start_mistake);
}

TEST_CASE("what is written is what the specification says") {
  CHECK(written(ProxyVersion::v1, "192.0.2.7:40000", "10.0.0.5:80") ==
        line("TCP4 192.0.2.7 10.0.0.5 40000 80"));
  CHECK(written(ProxyVersion::v1, "[2001:db8::7]:40000", "[2001:db8::5]:80") ==
        line("TCP6 2001:db8::7 2001:db8::5 40000 80"));
  CHECK(written(ProxyVersion::v2, "192.0.2.7:40000", "10.0.0.5:80") == v2(0x21, 0x11, v4_block));
  CHECK(written(ProxyVersion::v2, "[2001:db8::7]:40000", "[2001:db8::5]:80") ==
        v2(0x21, 0x21, v6_block));
}

TEST_CASE("mapped addresses are written as IPv4, and a mixed pair as IPv6 without dots") {
  CHECK(written(ProxyVersion::v1, "[::ffff:192.0.2.7]:1", "[::ffff:10.0.0.5]:2") ==
        line("TCP4 192.0.2.7 10.0.0.5 1 2"));
  CHECK(written(ProxyVersion::v2, "[::ffff:192.0.2.7]:40000", "[::ffff:10.0.0.5]:80") ==
        v2(0x21, 0x11, v4_block));
  const std::string mixed = written(ProxyVersion::v1, "192.0.2.7:1", "[2001:db8::5]:2");
  CHECK(mixed == line("TCP6 0:0:0:0:0:ffff:c000:207 2001:db8::5 1 2"));
  CHECK(told(mixed) == "192.0.2.7:1 > [2001:db8::5]:2 (52)");
  CHECK(told(written(ProxyVersion::v2, "[2001:db8::5]:2", "192.0.2.7:1")) ==
        "[2001:db8::5]:2 > 192.0.2.7:1 (52)");
  CHECK(told(written(ProxyVersion::v1, "[::1.2.3.4]:2", "[::1]:1")) ==
        "[::1.2.3.4]:2 > [::1]:1 (40)");
}

TEST_CASE("what is written is read back") {
  const char* const longest = "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535";
  for (const ProxyVersion version : {ProxyVersion::v1, ProxyVersion::v2}) {
    for (const char* source : {"0.0.0.0:0", "255.255.255.255:65535", "[::]:0", longest}) {
      for (const char* destination : {"127.0.0.1:1", "[::1]:1", longest}) {
        const std::string header = written(version, source, destination);
        CHECK(header.size() <= 107);
        CHECK(told(header + "tail") == std::string(source) + " > " + destination + " (" +
                                           std::to_string(header.size()) + ")");
      }
    }
  }
}
