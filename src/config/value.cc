#include "config/value.h"

#include <algorithm>
#include <charconv>
#include <vector>

#include "base/duration.h"
#include "config/catch_rule.h"
#include "config/messages.h"
#include "config/user.h"

namespace finhold::config {
namespace {

using base::Mistake;
using SourceKind = relay::Source::Kind;
using ValueResult = base::Result<Value, Mistake>;

constexpr std::size_t longest_name = 64;
// Longer than any host and port; what is longer is a mix-up that nobody wants to see repeated.
constexpr std::size_t longest_text = 300;
constexpr std::size_t longest_path = 4095;    // PATH_MAX, without its end
constexpr std::size_t longest_secret = 1024;  // so that it fits into a header list of HTTP/2

Mistake wrong(const Key& key, std::string_view text, std::string_view why) {
  return {in_quotes(text) + " is " + std::string(why) + "; write " + allowed(key)};
}

// Without the text.
Mistake wrong_secret() {
  return {
      "is not a token; write 1 to 1024 letters, digits and -._~+/ with = at its end only, such as "
      "\"openssl rand -hex 32\" prints"};
}

// A mistake of base/ about the text, or about a part of it: then the whole is told first.
Mistake explained(std::string_view text, const Mistake& mistake) {
  const std::string whole = in_quotes(text);
  if (mistake.text.starts_with(whole)) return mistake;
  return {whole + ": " + printable(mistake.text)};
}

bool is_name(std::string_view text) {
  constexpr std::string_view characters =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
  return !text.empty() && text.size() <= longest_name &&
         text.find_first_not_of(characters) == std::string_view::npos;
}

// token68, RFC 9110 section 11.2, which RFC 6750 section 2.1 wants.
bool is_token68(std::string_view text) {
  constexpr std::string_view characters =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/";
  const auto end = text.find_first_not_of(characters);
  return end != 0 && !text.empty() &&
         text.find_first_not_of('=', std::min(end, text.size())) == std::string_view::npos;
}

bool takes_never(const Key& key) {
  return key.kind == Kind::limit || key.kind == Kind::limit_or_auto;
}

std::string shown_duration(const Key& key, std::uint64_t milliseconds) {
  if (key.kind == Kind::whole_seconds) return std::to_string(milliseconds / 1000) + "s";
  return base::format_duration(base::Milliseconds(milliseconds));
}

// What may stand in place of a number.
std::string_view word_for_none(const Key& key) {
  return key.kind == Kind::count_or_auto   ? "auto"
         : key.kind == Kind::count_or_none ? "unlimited"
                                           : "";
}

ValueResult parse_count(const Key& key, std::string_view text) {
  if (!word_for_none(key).empty() && text == word_for_none(key)) return Value{};
  std::string_view digits = text;
  const bool negative = digits.starts_with('-');
  if (negative) digits.remove_prefix(1);
  std::uint64_t number = 0;
  const auto* const last = digits.data() + digits.size();
  const auto [end, failure] = std::from_chars(digits.data(), last, number);
  if (digits.empty() || end != last || failure == std::errc::invalid_argument) {
    return wrong(key, text, "not a whole number");
  }
  const bool too_large = failure == std::errc::result_out_of_range || number > key.highest;
  if (!negative && !too_large && number >= key.lowest) return Value{.number = number};
  return Mistake{std::string(text) + " is too " + (negative || !too_large ? "small" : "large") +
                 "; write " + allowed(key)};
}

ValueResult parse_size(const Key& key, std::string_view text) {
  const auto size = base::parse_size(text);
  if (!size.ok()) return explained(text, size.error());
  if (size.value() < key.lowest) return wrong(key, text, "too small");
  if (size.value() > key.highest) return wrong(key, text, "too large");
  return Value{.number = size.value()};
}

ValueResult parse_duration(const Key& key, std::string_view text) {
  Value value;
  if (key.kind == Kind::limit_or_auto && text == "auto") return Value{.number = 1};
  if (takes_never(key)) {
    const auto limit = base::parse_limit(text);
    if (!limit.ok()) return explained(text, limit.error());
    value.duration = limit.value();
  } else {
    const auto duration = base::parse_duration(text);
    if (!duration.ok()) return explained(text, duration.error());
    value.duration = duration.value();
  }
  if (!value.duration) return value;
  const auto milliseconds = static_cast<std::uint64_t>(value.duration->count());
  if (milliseconds < key.lowest) return wrong(key, text, "too short");
  if (milliseconds > key.highest) return wrong(key, text, "too long");
  if (key.kind == Kind::whole_seconds && milliseconds % 1000 != 0) {
    return wrong(key, text, "not a number of whole seconds");
  }
  return value;
}

ValueResult parse_choice(const Key& key, std::string_view text) {
  for (std::size_t place = 0; place < key.choices.size(); ++place) {
    if (key.choices[place] == text) return Value{.number = place};
  }
  return wrong(key, text, "not known here");
}

ValueResult parse_listen(std::string_view text) {
  const auto address = base::Address::parse(text);
  if (!address.ok()) return explained(text, address.error());
  if (address.value().lacks_zone()) {
    return base::zone_missing(text.substr(1, text.find(']') - 1));
  }
  return Value{.number = 1, .address = address.value()};
}

ValueResult parse_server(std::string_view text) {
  const auto server = base::HostPort::parse(text);
  if (!server.ok()) return explained(text, server.error());
  return Value{.host_port = server.value()};
}

// Without a port, and with or without the brackets of an IPv6 address.
ValueResult parse_source(const Key& key, std::string_view text) {
  if (text == "self") return Value{.number = static_cast<int>(SourceKind::self)};
  if (text == "client") return Value{.number = static_cast<int>(SourceKind::client)};
  const bool bare_v6 = text.find(':') != std::string_view::npos && !text.starts_with('[');
  const std::string host = bare_v6 ? "[" + std::string(text) + "]" : std::string(text);
  const auto address = base::Address::parse(host + ":0");
  if (!address.ok() && text.find('%') != std::string_view::npos) {
    return explained(text, address.error());
  }
  if (!address.ok()) return wrong(key, text, "not known here");
  if (address.value().lacks_zone()) return base::zone_missing(text);
  if (address.value().is_any()) {
    return Mistake{in_quotes(text) +
                   " is no address to come from; write \"self\", and the kernel "
                   "chooses one"};
  }
  return Value{.number = static_cast<int>(SourceKind::address), .address = address.value()};
}

ValueResult parse_user(std::string_view text) {
  if (text.empty()) return Value{};
  const auto user = find_user(text);
  if (!user.ok()) {
    return Mistake{in_quotes(text) + " cannot be looked up among the users of this machine: " +
                   base::errno_text(user.error().code)};
  }
  if (!user.value()) {
    return Mistake{
        in_quotes(text) +
        " is no user of this machine; write a name that \"getent passwd\" lists, or make "
        "it with \"useradd --system\""};
  }
  return Value{.user = user.value()};
}

ValueResult parse_network(std::string_view text) {
  const auto network = base::Network::parse(text);
  if (!network.ok()) return explained(text, network.error());
  return Value{.network = network.value()};
}

ValueResult parse_path(const Key& key, std::string_view text) {
  if (text.size() > longest_path) return wrong(key, text, "far too long");
  if (text.find('\0') != std::string_view::npos || (text.empty() && key.required))
    return wrong(key, text, "not a path");
  return Value{.text = std::string(text)};
}

ValueResult parse_secret(std::string_view text) {
  if (!text.empty() && (text.size() > longest_secret || !is_token68(text))) return wrong_secret();
  return Value{.text = std::string(text)};
}

ValueResult parse_destination(std::string_view text) {
  auto entry = tunnel::AllowEntry::parse(text);
  if (!entry.ok()) {
    const std::string& why = entry.error().text;
    return Mistake{in_quotes(text) + (why.starts_with('"') ? ": " : " ") + printable(why)};
  }
  return Value{.allow = std::move(entry.value())};
}

}  // namespace

std::string allowed(const Key& key) {
  const std::string or_never = !takes_never(key)         ? ""
                               : key.kind == Kind::limit ? R"(, or "never")"
                                                         : R"(, "never" or "auto")";
  switch (key.kind) {
    case Kind::name:
      return R"(1 to 64 letters, digits, "_", "." and "-")";
    case Kind::truth:
      return "true or false";
    case Kind::choice: {
      std::vector<std::string> choices;
      for (const auto choice : key.choices) choices.push_back(in_quotes(choice));
      return listed(choices, "or");
    }
    case Kind::count:
    case Kind::count_or_auto:
    case Kind::count_or_none:
      return "a whole number from " + std::to_string(key.lowest) + " to " +
             std::to_string(key.highest) +
             (word_for_none(key).empty() ? "" : ", or " + in_quotes(word_for_none(key)));
    case Kind::size:
      return "a size from " + base::format_size(key.lowest) + " to " +
             base::format_size(key.highest);
    case Kind::duration:
    case Kind::whole_seconds:
    case Kind::limit:
    case Kind::limit_or_auto:
      if (key.highest != UINT64_MAX) {
        return "a duration from " + shown_duration(key, key.lowest) + " to " +
               shown_duration(key, key.highest) +
               (key.kind == Kind::whole_seconds ? " in whole seconds" : "") + or_never;
      }
      if (key.lowest == 0) return "a duration such as \"10s\"" + or_never;
      return "a duration of " + shown_duration(key, key.lowest) + " or more" + or_never;
    case Kind::listen:
      return R"(an address and a port such as "127.0.0.1:7000" or "[::]:7000")";
    case Kind::listen_or_not:
      return R"(an address and a port such as "127.0.0.1:9464", or "")";
    case Kind::server:
      return R"(a host and a port such as "example.net:7000" or "10.0.0.5:7000")";
    case Kind::source:
      return R"("self", "client", or an address of this machine such as "192.0.2.7")";
    case Kind::networks:
      return R"(a network such as "10.0.0.0/8" or "2001:db8::/32")";
    case Kind::user:
      return R"(the name of a user of this machine such as "finhold", or "")";
    case Kind::traffic:
      return R"(a network and ports such as "10.0.0.0/8:514" or ":7000-7010", or "user:NAME")";
    case Kind::tunnel:
      return R"(the name of a [[tunnel]], or "")";
    case Kind::host:
      return R"(a name or an address such as "far.example.net" or "192.0.2.7", or "")";
    case Kind::path:
      return std::string("the path of a file such as \"/etc/finhold/ca.pem\"") +
             (key.required ? "" : ", or \"\"");
    case Kind::secret:
      return "letters, digits and -._~+/ with = at its end only";
    case Kind::destinations:
      return R"(a network or a name, and ports, such as "10.0.0.0/8:514" or "db.internal:5432")";
  }
  FINHOLD_CHECK(false);
  return {};
}

std::string_view list_example(const Key& key) {
  FINHOLD_CHECK(is_list(key.kind));
  if (key.required) return key.example;
  return key.kind == Kind::networks ? R"(["10.0.0.0/8"])" : R"(["10.0.0.0/8:514"])";
}

base::Result<Value, base::Mistake> parse_value(const Key& key, std::string_view text) {
  if (key.kind == Kind::secret) return parse_secret(text);
  if (key.kind == Kind::path) return parse_path(key, text);
  if (text.size() > longest_text) return wrong(key, text, "far too long");
  switch (key.kind) {
    case Kind::name:
      if (!is_name(text)) return wrong(key, text, "not a name");
      return Value{.text = std::string(text)};
    case Kind::truth:
      if (text != "true" && text != "false") return wrong(key, text, "neither");
      return Value{.number = text == "true" ? 1U : 0U};
    case Kind::choice:
      return parse_choice(key, text);
    case Kind::count:
    case Kind::count_or_auto:
    case Kind::count_or_none:
      return parse_count(key, text);
    case Kind::size:
      return parse_size(key, text);
    case Kind::duration:
    case Kind::whole_seconds:
    case Kind::limit:
    case Kind::limit_or_auto:
      return parse_duration(key, text);
    case Kind::listen:
      return parse_listen(text);
    case Kind::listen_or_not:
      return text.empty() ? Value{} : parse_listen(text);
    case Kind::server:
      return parse_server(text);
    case Kind::source:
      return parse_source(key, text);
    case Kind::networks:
      return parse_network(text);
    case Kind::user:
      return parse_user(text);
    case Kind::traffic: {
      auto traffic = parse_traffic(text);
      if (!traffic.ok()) return traffic.error();
      return Value{.traffic = traffic.value()};
    }
    case Kind::tunnel:
      if (!text.empty() && !is_name(text)) return wrong(key, text, "not a name");
      return Value{.text = std::string(text)};
    case Kind::host:
      if (!text.empty() && !base::is_host(text) &&
          !base::Address::parse("[" + std::string(text) + "]:0").ok())
        return wrong(key, text, "neither a name nor an address");
      return Value{.text = std::string(text)};
    case Kind::destinations:
      return parse_destination(text);
    case Kind::path:
    case Kind::secret:
      break;  // above
  }
  FINHOLD_CHECK(false);
  return Value{};
}

}  // namespace finhold::config
