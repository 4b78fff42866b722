// Keys that several tables of the configuration have, alike. For the files with the tables of keys.
#pragma once

#include <array>
#include <string_view>

#include "config/keys.h"

namespace finhold::config {

constexpr std::uint64_t longest_keepalive = 32'767'000;  // milliseconds; Linux: MAX_TCP_KEEPIDLE

// In the order of relay::ProxyHeader.
constexpr std::array<std::string_view, 3> proxy_headers{"none", "v1", "v2"};
static_assert(static_cast<int>(relay::ProxyHeader::v2) == 2);

constexpr Key idle_of(std::string_view table) {
  return {
      .table = table,
      .name = "idle",
      .kind = Kind::whole_seconds,
      .example = R"("30s")",
      .meaning = "silence before the first TCP keepalive",
      .lowest = 1'000,
      .highest = longest_keepalive,
      .store = [](const Value& v, Target& to) { to.section.route.keepalive.idle = *v.duration; }};
}

constexpr Key interval_of(std::string_view table) {
  return {.table = table,
          .name = "interval",
          .kind = Kind::whole_seconds,
          .example = R"("10s")",
          .meaning = "from one unanswered TCP keepalive to the next",
          .lowest = 1'000,
          .highest = longest_keepalive,
          .store = [](const Value& v, Target& to) {
            to.section.route.keepalive.interval = *v.duration;
          }};
}

constexpr Key probes_of(std::string_view table) {
  return {.table = table,
          .name = "probes",
          .kind = Kind::count,
          .example = "6",
          .meaning = "unanswered TCP keepalives after which the other end has vanished",
          .lowest = 1,
          .highest = 127,
          .store = [](const Value& v, Target& to) {
            to.section.route.keepalive.probes = static_cast<int>(v.number);
          }};
}

// What one client may have of the sessions of a route or far end.
constexpr Key sessions_per_client_of(std::string_view table) {
  return {.table = table,
          .name = "sessions_per_client",
          .kind = Kind::count_or_none,
          .example = R"("unlimited")",
          .meaning = "open at once, of one client; its next one is reset",
          .lowest = 1,
          .highest = 10'000'000,
          .store = [](const Value& v, Target& to) {
            to.section.route.each_client.sessions = static_cast<std::uint32_t>(v.number);
          }};
}

constexpr Key connects_per_second_of(std::string_view table) {
  return {
      .table = table,
      .name = "connects_per_second",
      .kind = Kind::count_or_none,
      .example = R"("unlimited")",
      .meaning = "of one client, on average; 10 seconds' worth may come at once; more are reset",
      .lowest = 1,
      .highest = 100'000,
      .store = [](const Value& v, Target& to) {
        to.section.route.each_client.connects_per_second = static_cast<std::uint32_t>(v.number);
      }};
}

constexpr Key client_prefix_of(std::string_view table) {
  return {.table = table,
          .name = "client_prefix",
          .kind = Kind::count,
          .example = "64",
          .meaning = "first bits of an IPv6 address that make one client, for these two limits",
          .lowest = 16,
          .highest = 128,
          .store = [](const Value& v, Target& to) {
            to.section.route.each_client.prefix_v6 = static_cast<std::uint8_t>(v.number);
          }};
}

// To the server.
constexpr Key connect_timeout_of(std::string_view table) {
  return {
      .table = table,
      .name = "connect_timeout",
      .kind = Kind::duration,
      .example = R"("10s")",
      .meaning = "for reaching the server, all its addresses together",
      .lowest = 1,
      .store = [](const Value& v, Target& to) { to.section.route.connect_timeout = *v.duration; }};
}

constexpr Key send_proxy_of(std::string_view table) {
  return {.table = table,
          .name = "send_proxy",
          .kind = Kind::choice,
          .example = R"("none")",
          .meaning = "tell the server the client's address by a PROXY protocol header",
          .choices = proxy_headers,
          .store = [](const Value& v, Target& to) {
            to.section.route.send_proxy = relay::ProxyHeader(v.number);
          }};
}

constexpr Key session_idle_of(std::string_view table) {
  return {.table = table,
          .name = "idle",
          .kind = Kind::limit_or_auto,
          .example = R"("auto")",
          .meaning =
              "a session in which nothing moves either way for this long is reset; auto: "
              "limits.idle",
          .lowest = 1,
          .store = [](const Value& v, Target& to) {
            if (v.number == 0) to.section.idle = v.duration;
          }};
}

constexpr Key closing_of(std::string_view table) {
  return {.table = table,
          .name = "closing",
          .kind = Kind::limit_or_auto,
          .example = R"("auto")",
          .meaning =
              "a session that has ended both ways is reset once its reader takes nothing for "
              "this long; auto: limits.closing",
          .lowest = 1,
          .store = [](const Value& v, Target& to) {
            if (v.number == 0) to.section.closing = v.duration;
          }};
}

}  // namespace finhold::config
