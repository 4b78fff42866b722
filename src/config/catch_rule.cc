#include "config/catch_rule.h"

#include <charconv>
#include <string>

#include "config/messages.h"
#include "config/user.h"

namespace finhold::config {
namespace {

using base::Mistake;
using relay::Traffic;
using TrafficResult = base::Result<Traffic, Mistake>;

constexpr std::string_view forms =
    R"("10.0.0.0/8:514", "[2001:db8::/32]:7000-7010", ":514" or "user:NAME")";

Mistake wrong(std::string_view text, const std::string& why) {
  return {in_quotes(text) + " " + why};
}

std::optional<std::uint32_t> parse_number(std::string_view text, std::uint32_t highest) {
  std::uint32_t number = 0;
  const auto* const last = text.data() + text.size();
  const auto [end, failure] = std::from_chars(text.data(), last, number);
  const bool extra_zero = text.size() > 1 && text.front() == '0';
  if (text.empty() || end != last || failure != std::errc{} || extra_zero || number > highest) {
    return std::nullopt;
  }
  return number;
}

TrafficResult parse_user(std::string_view text, std::string_view name) {
  constexpr std::uint32_t nobody_at_all = UINT32_MAX;  // what chown(2) takes for "no change"
  Traffic traffic;
  traffic.user = parse_number(name, nobody_at_all - 1);
  if (!traffic.user) {
    const auto user = find_user(name);
    if (!user.ok()) {
      return wrong(text, "cannot be looked up among the users of this machine: " +
                             base::errno_text(user.error().code));
    }
    if (!user.value()) {
      return wrong(text,
                   "names no user of this machine; write a name that \"getent passwd\" lists, "
                   "or a number as \"user:1000\"");
    }
    traffic.user = user.value()->uid;
  }
  return traffic;
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

  const auto parts = base::split_ports(text);
  if (!parts) {
    return wrong(text,
                 text.starts_with('[')
                     ? "is not understood; the brackets are around all of an IPv6 network, as in "
                       "\"[2001:db8::/32]:514\""
                     : "is not understood; an IPv6 network stands in brackets, as "
                       "\"[2001:db8::/32]\" or \"[2001:db8::/32]:514\"");
  }
  if (parts->bracketed && parts->before.find(':') == std::string_view::npos) {
    return wrong(text, "has brackets around what is no IPv6 network; write " + std::string(forms));
  }

  Traffic traffic;
  if (parts->ports) {
    const auto ports = base::PortRange::parse(*parts->ports);
    if (!ports) {
      return wrong(text, "has " + in_quotes(*parts->ports) + " behind the colon; write " +
                             std::string(base::port_range_form));
    }
    traffic.ports = *ports;
  }
  if (!parts->before.empty() || !parts->ports) {
    if (auto mistake = read_network(text, parts->before, traffic)) return *std::move(mistake);
  }
  return traffic;
}

}  // namespace finhold::config
