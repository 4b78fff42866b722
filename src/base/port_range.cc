#include "base/port_range.h"

#include <charconv>

namespace finhold::base {
std::optional<std::uint16_t> parse_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto* const last = text.data() + text.size();
  const auto [end, failure] = std::from_chars(text.data(), last, port);
  const bool extra_zero = text.size() > 1 && text.front() == '0';
  if (text.empty() || end != last || failure != std::errc{} || extra_zero) return std::nullopt;
  return port;
}

std::optional<PortRange> PortRange::parse(std::string_view text) {
  const auto dash = text.find('-');
  const auto first = parse_port(text.substr(0, dash));
  const auto last = dash == std::string_view::npos ? first : parse_port(text.substr(dash + 1));
  if (!first || !last || *first == 0 || *last < *first) return std::nullopt;
  return PortRange{*first, *last};
}

std::string PortRange::text() const {
  return std::to_string(first) + (last == first ? "" : "-" + std::to_string(last));
}

std::optional<BeforePorts> split_ports(std::string_view text) {
  if (text.starts_with('[')) {
    const auto close = text.find(']');
    if (close == std::string_view::npos) return std::nullopt;
    const std::string_view rest = text.substr(close + 1);
    if (!rest.empty() && rest.front() != ':') return std::nullopt;
    BeforePorts parts{text.substr(1, close - 1), std::nullopt, true};
    if (!rest.empty()) parts.ports = rest.substr(1);
    return parts;
  }
  const auto colon = text.find(':');
  if (colon == std::string_view::npos) return BeforePorts{text, std::nullopt};
  // An IPv6 address may end in what looks like a port.
  if (text.find(':', colon + 1) != std::string_view::npos) return std::nullopt;
  return BeforePorts{text.substr(0, colon), text.substr(colon + 1)};
}

}  // namespace finhold::base
