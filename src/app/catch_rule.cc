#include "app/catch_rule.h"

#include <charconv>
#include <string>

#include "app/user.h"
#include "app/wording.h"

namespace finhold::app {
namespace {

using base::Mistake;
using relay::Traffic;
using TrafficResult = base::Result<Traffic, Mistake>;

constexpr std::string_view forms =
    R"("10.0.0.0/8:514", "[2001:db8::/32]:7000-7010", ":514" or "user:NAME")";

Mistake wrong(std::string_view text, const std::string& why) {
  return {in_quotes(text) + " " + why};
}

template <typename Number>
std::optional<Number> parse_number(std::string_view text, Number lowest, Number highest) {
  Number number = 0;
  const auto* const last = text.data() + text.size();
  const auto [end, failure] = std::from_chars(text.data(), last, number);
  if (text.empty() || end != last || failure != std::errc{}) return std::nullopt;
  if (number < lowest || number > highest) return std::nullopt;
  return number;
}

TrafficResult parse_user(std::string_view text, std::string_view name) {
  constexpr std::uint32_t nobody_at_all = UINT32_MAX;  // what chown(2) takes for "no change"
  Traffic traffic;
  traffic.user = parse_number<std::uint32_t>(name, 0, nobody_at_all - 1);
  if (!traffic.user) {
    const auto user = find_user(name);
    if (!user) {
      return wrong(text,
                   "names no user of this machine; write a name that \"getent passwd\" lists, "
                   "or a number as \"user:1000\"");
    }
    traffic.user = user->uid;
  }
  return traffic;
}

// "514" or "7000-7010".
std::optional<Mistake> read_ports(std::string_view text, std::string_view ports, Traffic& traffic) {
  constexpr std::uint16_t lowest = 1;
  constexpr std::uint16_t highest = 65'535;
  const auto dash = ports.find('-');
  const auto first = parse_number(ports.substr(0, dash), lowest, highest);
  const auto last = dash == std::string_view::npos
                        ? first
                        : parse_number(ports.substr(dash + 1), lowest, highest);
  if (!first || !last || *last < *first) {
    return wrong(text, "has " + in_quotes(ports) +
                           " behind the colon; write a port from 1 to "
                           "65535, or two as 7000-7010, the lower one first");
  }
  traffic.first_port = *first;
  traffic.last_port = *last;
  return std::nullopt;
}

std::optional<Mistake> read_network(std::string_view text, std::string_view network,
                                    Traffic& traffic) {
  auto parsed = base::Network::parse(network);
  if (!parsed.ok()) {
    // What Network says of brackets and ports would lead astray: it knows neither.
    return wrong(text, network.find('/') == std::string_view::npos
                           ? "does not begin with a network; write " + std::string(forms)
                           : "has a wrong network: " + parsed.error().text);
  }
  const std::string found = parsed.value().text();
  if (found == "0.0.0.0" || found == "::") {
    return wrong(text, "catches nothing: no connection goes to " + found +
                           "; write \":514\" for every destination");
  }
  traffic.network = parsed.value();
  return std::nullopt;
}

}  // namespace

TrafficResult parse_traffic(std::string_view text) {
  constexpr std::string_view user = "user:";
  if (text.starts_with(user)) return parse_user(text, text.substr(user.size()));

  std::string_view network = text;
  std::string_view ports;
  bool has_ports = false;
  if (text.starts_with('[')) {
    const auto close = text.find(']');
    const std::string_view rest = close == std::string_view::npos ? "?" : text.substr(close + 1);
    if (!rest.empty() && rest.front() != ':') {
      return wrong(text,
                   "is not understood; the brackets are around all of an IPv6 network, as in "
                   "\"[2001:db8::/32]:514\"");
    }
    network = text.substr(1, close - 1);
    has_ports = !rest.empty();
    if (has_ports) ports = rest.substr(1);
    if (network.find(':') == std::string_view::npos) {
      return wrong(text,
                   "has brackets around what is no IPv6 network; write " + std::string(forms));
    }
  } else if (const auto colon = text.find(':'); colon != std::string_view::npos) {
    network = text.substr(0, colon);
    ports = text.substr(colon + 1);
    has_ports = true;
    // An IPv6 address may end in what looks like a port.
    if (ports.find(':') != std::string_view::npos) {
      return wrong(text,
                   "is not understood; an IPv6 network stands in brackets, as "
                   "\"[2001:db8::/32]\" or \"[2001:db8::/32]:514\"");
    }
  }

  Traffic traffic;
  if (has_ports) {
    if (auto mistake = read_ports(text, ports, traffic)) return *std::move(mistake);
  }
  if (!network.empty() || !has_ports) {
    if (auto mistake = read_network(text, network, traffic)) return *std::move(mistake);
  }
  return traffic;
}

}  // namespace finhold::app
