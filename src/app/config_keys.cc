#include "app/config_keys.h"

#include <array>

#include "base/check.h"

namespace finhold::app {
namespace {

using base::log::Format;
using base::log::Level;
using core::Crosses;

// In the order of their enumerations: a choice is stored by its place.
constexpr std::array<std::string_view, 4> levels{"debug", "info", "warning", "error"};
constexpr std::array<std::string_view, 2> formats{"text", "json"};
constexpr std::array<std::string_view, 3> splicing{"auto", "never", "always"};
constexpr std::array<std::string_view, 3> proxy_headers{"none", "v1", "v2"};
constexpr std::array<std::string_view, 4> legs{"none", "client", "server", "both"};
constexpr std::array<std::string_view, 3> intercepts{"none", "redirect", "tproxy"};
static_assert(static_cast<int>(Level::error) == 3 && static_cast<int>(Format::json) == 1 &&
              static_cast<int>(relay::Splicing::always) == 2 &&
              static_cast<int>(relay::ProxyHeader::v2) == 2 &&
              static_cast<int>(Crosses::both) == 3 &&
              static_cast<int>(relay::Intercept::tproxy) == 2);

constexpr std::uint64_t kibibyte = 1024;
constexpr std::uint64_t one_second = 1'000;
constexpr std::uint64_t longest_keepalive = 32'767 * one_second;  // Linux: MAX_TCP_KEEPIDLE

constexpr std::array<Table, 5> tables{{
    {"log", "[log]", "", "log"},
    {"limits", "[limits]", "", "limits"},
    {"route", "[[route]]", "", "route"},
    {"route.keepalive", "keepalive", "route", "keepalive"},
    {"route.fin", "[route.fin]", "route", "fin"},
}};

const std::array<Key, 29> keys{{
    {.table = "",
     .name = "user",
     .kind = Kind::user,
     .example = R"("")",
     .meaning = "to run as, once the listeners stand; empty: who started it",
     .store = [](const Value& v, Target& to) { to.config.user = v.user; }},

    {.table = "log",
     .name = "level",
     .kind = Kind::choice,
     .example = R"("info")",
     .meaning = "the least important lines that are written",
     .choices = levels,
     .store = [](const Value& v, Target& to) { to.config.log.level = Level(v.number); }},
    {.table = "log",
     .name = "format",
     .kind = Kind::choice,
     .example = R"("text")",
     .meaning = "lines for people, or one JSON object a line for machines",
     .choices = formats,
     .store = [](const Value& v, Target& to) { to.config.log.format = Format(v.number); }},

    {.table = "limits",
     .name = "sessions",
     .kind = Kind::count,
     .example = "20000",
     .meaning = "open at once, in the whole process; more wait to be accepted",
     .lowest = 1,
     .highest = 10'000'000,
     .store = [](const Value& v,
                 Target& to) { to.config.limits.sessions = static_cast<std::uint32_t>(v.number); }},
    {.table = "limits",
     .name = "buffer_per_flow",
     .kind = Kind::size,
     .example = R"("256KiB")",
     .meaning = "bytes that wait in memory for a slow reader, one way of one session",
     .lowest = 16 * kibibyte,
     .highest = 64 * (kibibyte * 1024),
     .store = [](const Value& v, Target& to) { to.config.limits.buffer_per_flow = v.number; }},
    {.table = "limits",
     .name = "workers",
     .kind = Kind::count_or_auto,
     .example = R"("auto")",
     .meaning = "threads; auto is one for each usable CPU",
     .lowest = 1,
     .highest = 256,
     .store = [](const Value& v,
                 Target& to) { to.config.limits.workers = static_cast<std::uint32_t>(v.number); }},
    {.table = "limits",
     .name = "splice",
     .kind = Kind::choice,
     .example = R"("auto")",
     .meaning = "move bytes through kernel pipes: auto is where a flow has many at a time",
     .choices = splicing,
     .store = [](const Value& v,
                 Target& to) { to.config.limits.splice = relay::Splicing(v.number); }},
    {.table = "limits",
     .name = "drain",
     .kind = Kind::duration,
     .example = R"("30s")",
     .meaning = "how long open sessions may take to finish when finhold is told to stop",
     .store = [](const Value& v, Target& to) { to.config.limits.drain = *v.duration; }},

    {.table = "route",
     .name = "name",
     .kind = Kind::name,
     .required = true,
     .example = R"("orders")",
     .meaning = "stands in the log lines of its sessions",
     .store = [](const Value& v, Target& to) { to.route.name = v.text; }},
    {.table = "route",
     .name = "listen",
     .kind = Kind::listen,
     .required = true,
     .example = R"("127.0.0.1:7000")",
     .meaning = "address and port that clients connect to",
     .store = [](const Value& v, Target& to) { to.route.listen = v.address; }},
    {.table = "route",
     .name = "server",
     .kind = Kind::server,
     .required = true,
     .example = R"("orders.example.net:7000")",
     .meaning = "name or address, and port, that sessions are relayed to",
     .store = [](const Value& v, Target& to) { to.route.server = v.host_port; }},
    {.table = "route",
     .name = "intercept",
     .kind = Kind::choice,
     .example = R"("none")",
     .meaning = "how rules of the kernel divert connections to this listener",
     .choices = intercepts,
     .store = [](const Value& v, Target& to) { to.route.intercept = relay::Intercept(v.number); }},
    {.table = "route",
     .name = "source",
     .kind = Kind::source,
     .example = R"("self")",
     .meaning = "where the connections to the server come from",
     .store =
         [](const Value& v, Target& to) {
           to.route.source = {relay::Source::Kind(v.number), v.address};
         }},
    {.table = "route",
     .name = "mark",
     .kind = Kind::count,
     .example = "0x1f1",
     .meaning = "mark of the connections to the server, which spares them from redirection",
     .highest = UINT32_MAX,
     .store = [](const Value& v,
                 Target& to) { to.route.mark = static_cast<std::uint32_t>(v.number); }},
    {.table = "route",
     .name = "catch",
     .kind = Kind::traffic,
     .example = "[]",
     .meaning = "what the rules of the kernel divert to this route",
     .store = [](const Value& v, Target& to) { to.route.caught.push_back(v.traffic); }},
    {.table = "route",
     .name = "spare",
     .kind = Kind::traffic,
     .example = "[]",
     .meaning = "what they leave alone of it",
     .store = [](const Value& v, Target& to) { to.route.spare.push_back(v.traffic); }},
    {.table = "route",
     .name = "crosses",
     .kind = Kind::choice,
     .example = R"("server")",
     .meaning = "which leg crosses the middlebox that forgets half-closed connections",
     .choices = legs,
     .store = [](const Value& v, Target& to) { to.route.fin.crosses = Crosses(v.number); }},
    {.table = "route",
     .name = "connect_timeout",
     .kind = Kind::duration,
     .example = R"("10s")",
     .meaning = "for reaching the server, all its addresses together",
     .lowest = 1,
     .store = [](const Value& v, Target& to) { to.route.connect_timeout = *v.duration; }},
    {.table = "route",
     .name = "send_proxy",
     .kind = Kind::choice,
     .example = R"("none")",
     .meaning = "tell the server the client's address by a PROXY protocol header",
     .choices = proxy_headers,
     .store = [](const Value& v,
                 Target& to) { to.route.send_proxy = relay::ProxyHeader(v.number); }},
    {.table = "route",
     .name = "accept_proxy",
     .kind = Kind::truth,
     .example = "false",
     .meaning = "every client is a proxy that sends a PROXY protocol header first",
     .store = [](const Value& v, Target& to) { to.route.accept_proxy = v.number != 0; }},
    {.table = "route",
     .name = "trusted",
     .kind = Kind::networks,
     .example = "[]",
     .meaning = "who may connect to a route with accept_proxy",
     .store = [](const Value& v, Target& to) { to.route.trusted.push_back(*v.network); }},

    {.table = "route.keepalive",
     .name = "idle",
     .kind = Kind::whole_seconds,
     .example = R"("30s")",
     .meaning = "silence before the first TCP keepalive",
     .lowest = one_second,
     .highest = longest_keepalive,
     .store = [](const Value& v, Target& to) { to.route.keepalive.idle = *v.duration; }},
    {.table = "route.keepalive",
     .name = "interval",
     .kind = Kind::whole_seconds,
     .example = R"("10s")",
     .meaning = "from one unanswered TCP keepalive to the next",
     .lowest = one_second,
     .highest = longest_keepalive,
     .store = [](const Value& v, Target& to) { to.route.keepalive.interval = *v.duration; }},
    {.table = "route.keepalive",
     .name = "probes",
     .kind = Kind::count,
     .example = "6",
     .meaning = "unanswered TCP keepalives after which the other end has vanished",
     .lowest = 1,
     .highest = 127,
     .store = [](const Value& v,
                 Target& to) { to.route.keepalive.probes = static_cast<int>(v.number); }},

    {.table = "route.fin",
     .name = "release_when_quiet",
     .kind = Kind::limit,
     .example = R"("5s")",
     .meaning = "a held FIN goes out once the other way has been silent this long; 0s is at once",
     .store = [](const Value& v, Target& to) { to.route.fin.release_when_quiet = v.duration; }},
    {.table = "route.fin",
     .name = "hold_at_most",
     .kind = Kind::limit,
     .example = R"("never")",
     .meaning = "a held FIN goes out after this long, whatever else happens",
     .store = [](const Value& v, Target& to) { to.route.fin.hold_at_most = v.duration; }},
    {.table = "route.fin",
     .name = "nurse_every",
     .kind = Kind::whole_seconds,
     .example = R"("5s")",
     .meaning = "how often TCP keepalives go over a half-closed crossing leg",
     .lowest = one_second,
     .highest = longest_keepalive,
     .store = [](const Value& v, Target& to) { to.route.fin.nurse_every = *v.duration; }},
    {.table = "route.fin",
     .name = "half_closed_idle",
     .kind = Kind::limit,
     .example = R"("never")",
     .meaning = "a half-closed session is reset after this long without a byte",
     .lowest = 1,
     .store = [](const Value& v, Target& to) { to.route.fin.half_closed_idle = v.duration; }},
    {.table = "route.fin",
     .name = "half_closed_total",
     .kind = Kind::limit,
     .example = R"("never")",
     .meaning = "a half-closed session is reset this long after its first end",
     .lowest = 1,
     .store = [](const Value& v, Target& to) { to.route.fin.half_closed_total = v.duration; }},
}};

}  // namespace

std::span<const Key> known_keys() { return keys; }
std::span<const Table> known_tables() { return tables; }

const Key* find_key(std::string_view table, std::string_view name) {
  for (const Key& key : keys) {
    if (key.table == table && key.name == name) return &key;
  }
  return nullptr;
}

const Table* find_table(std::string_view parent, std::string_view name) {
  for (const Table& table : tables) {
    if (table.parent == parent && table.name == name) return &table;
  }
  return nullptr;
}

std::string_view heading_of(std::string_view path) {
  if (path.empty()) return "the first lines of the file, above every [table]";
  for (const Table& table : tables) {
    if (table.path == path) return table.heading;
  }
  FINHOLD_CHECK(false);
  return {};
}

std::vector<std::string_view> names_in(std::string_view path) {
  std::vector<std::string_view> names;
  for (const Key& key : keys) {
    if (key.table == path) names.push_back(key.name);
  }
  for (const Table& table : tables) {
    if (table.parent == path) names.push_back(table.name);
  }
  return names;
}

}  // namespace finhold::app
