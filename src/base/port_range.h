// Ports as people list them behind a network or a name: "514", "7000-7010".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace finhold::base {

// A port from 0 to 65535 as it is written in full: digits, and no zero before them, with which
// others may take it for octal or for another text. Nothing for any other text.
std::optional<std::uint16_t> parse_port(std::string_view text);

struct PortRange {
  std::uint16_t first = 1;
  std::uint16_t last = 65'535;

  // One port from 1 to 65535, or two with a dash between, the lower one first; nothing for any
  // other text.
  static std::optional<PortRange> parse(std::string_view text);

  [[nodiscard]] bool contains(std::uint16_t port) const { return port >= first && port <= last; }
  [[nodiscard]] bool every_port() const { return first == 1 && last == 65'535; }

  // As parse() takes it.
  [[nodiscard]] std::string text() const;

  friend bool operator==(const PortRange&, const PortRange&) = default;
};

// What parse() takes, in words that go behind "write".
inline constexpr std::string_view port_range_form =
    "a port from 1 to 65535, or two as 7000-7010, the lower one first";

// "10.0.0.0/8:514" or "[2001:db8::/32]:514" taken apart, nothing of it checked yet. The views are
// of the text.
struct BeforePorts {
  std::string_view before;                // without brackets
  std::optional<std::string_view> ports;  // what is behind the colon, if there is one
  bool bracketed = false;
};

// Nothing: brackets that are not around all that is before the colon, or more than one colon
// without brackets.
std::optional<BeforePorts> split_ports(std::string_view text);

}  // namespace finhold::base
