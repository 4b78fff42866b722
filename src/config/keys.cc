#include "config/keys.h"

#include <array>

#include "base/check.h"
#include "base/side.h"
#include "config/keys_common.h"

namespace finhold::config {
namespace {

using base::log::Format;
using base::log::Level;
using core::Crosses;

// In the order of their enumerations: a choice is stored by its place.
constexpr std::array<std::string_view, 4> levels{"debug", "info", "warning", "error"};
constexpr std::array<std::string_view, 2> formats{"text", "json"};
constexpr std::array<std::string_view, 3> splicing{"auto", "never", "always"};
constexpr std::array<std::string_view, 4> legs{"none", "client", "server", "both"};
constexpr std::array<std::string_view, 3> intercepts{"none", "redirect", "tproxy"};
static_assert(static_cast<int>(Level::error) == 3 && static_cast<int>(Format::json) == 1 &&
              static_cast<int>(relay::Splicing::always) == 2 &&
              static_cast<int>(Crosses::both) == 3 &&
              static_cast<int>(relay::Intercept::tproxy) == 2);

constexpr std::uint64_t kibibyte = 1024;
constexpr std::uint64_t one_second = 1'000;

constexpr std::string_view quiet_example = R"({ to_server = "auto", to_client = "0s" })";

void set_quiet(Target& to, base::Flow flow, const Value& value) {
  core::FinSettings& fin = to.section.route.fin;
  fin.learns_quiet[base::index(flow)] = value.number == 1;
  fin.release_when_quiet[base::index(flow)] =
      value.number == 1 ? base::Limit(core::patient_quiet) : value.duration;
}

constexpr Table keepalive_of(std::string_view parent, std::string_view path,
                             std::string_view heading) {
  return {.path = path,
          .heading = heading,
          .parent = parent,
          .name = "keepalive",
          .example = R"({ idle = "30s", interval = "10s", probes = 6 })",
          .or_text = "off",
          .cure = "or keepalive = \"off\" for none at all, where a box drops them"};
}

constexpr std::array<Table, 12> tables{{
    {"log", "[log]", "", "log"},
    {"limits", "[limits]", "", "limits"},
    {"admin", "[admin]", "", "admin"},
    {.path = "route",
     .heading = "[[route]]",
     .parent = "",
     .name = "route",
     .cure = "add a [[route]] with name, listen and server: what to relay, and where to",
     .singular = "route"},
    keepalive_of("route", "route.keepalive", "keepalive"),
    {"route.fin", "[route.fin]", "route", "fin"},
    {.path = "route.fin.release_when_quiet",
     .heading = "release_when_quiet",
     .parent = "route.fin",
     .name = "release_when_quiet",
     .example = quiet_example},
    {.path = "tunnel",
     .heading = "[[tunnel]]",
     .parent = "",
     .name = "tunnel",
     .cure = "add a [[tunnel]] with name, far and tls: where its far end is, and how to know it",
     .singular = "tunnel"},
    {.path = "tunnel.tls",
     .heading = "tls of [[tunnel]]",
     .parent = "tunnel",
     .name = "tls",
     .required = true,
     .example = R"({ ca = "ca.pem", certificate = "near.pem", key = "near.key" })",
     .or_text = "off",
     .cure = "or tls = \"off\" for plain text, which everybody on the way can read and change"},
    {.path = "far",
     .heading = "[[far]]",
     .parent = "",
     .name = "far",
     .cure = "add a [[far]] with listen, tls and allow: where near ends connect to, and what they "
             "may open",
     .singular = "far end"},
    keepalive_of("far", "far.keepalive", "keepalive of [[far]]"),
    {.path = "far.tls",
     .heading = "tls of [[far]]",
     .parent = "far",
     .name = "tls",
     .required = true,
     .example = R"({ certificate = "far.pem", key = "far.key", client_ca = "ca.pem" })",
     .or_text = "off",
     .cure = "or tls = \"off\" for plain text, which everybody on the way can read and change"},
}};

const auto keys = std::to_array<Key>({
    {.table = "",
     .name = "user",
     .kind = Kind::user,
     .example = R"("")",
     .meaning = "to run as, once the listeners stand; empty: who started it",
     .store = [](const Value& v, Target& to) { to.config.user = v.user; }},
    {.table = "",
     .name = "dumpable",
     .kind = Kind::truth,
     .example = "false",
     .meaning = "whether other programs of that user may debug it and read its memory, keys and "
                "tokens included, and whether it leaves core dumps",
     .store = [](const Value& v, Target& to) { to.config.dumpable = v.number != 0; }},

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

    {.table = "limits",
     .name = "tunnel_window",
     .kind = Kind::size,
     .example = R"("1MiB")",
     .meaning = "bytes of one session that are under way in a tunnel or wait behind it, each way",
     .lowest = 64 * kibibyte,
     .highest = 64 * (kibibyte * 1024),
     .store = [](const Value& v, Target& to) { to.config.limits.tunnel_window = v.number; }},

    {.table = "limits",
     .name = "idle",
     .kind = Kind::limit,
     .example = R"("never")",
     .meaning = "a session in which nothing moves either way for this long is reset",
     .lowest = 1,
     .store = [](const Value& v, Target& to) { to.config.limits.idle = v.duration; }},
    {.table = "limits",
     .name = "closing",
     .kind = Kind::limit_or_auto,
     .example = R"("auto")",
     .meaning =
         "a session that has ended both ways is reset once its reader takes nothing for this "
         "long; auto: idle + interval * probes of its keepalive",
     .lowest = 1,
     .store =
         [](const Value& v, Target& to) {
           if (v.number == 0) to.config.limits.closing = v.duration;
         }},

    {.table = "route",
     .name = "name",
     .kind = Kind::name,
     .required = true,
     .example = R"("orders")",
     .meaning = "stands in the log lines of its sessions",
     .store = [](const Value& v, Target& to) { to.section.route.name = v.text; }},
    {.table = "route",
     .name = "listen",
     .kind = Kind::listen,
     .required = true,
     .example = R"("127.0.0.1:7000")",
     .meaning = "address and port that clients connect to",
     .store = [](const Value& v, Target& to) { to.section.route.listen = v.address; }},
    {.table = "route",
     .name = "server",
     .kind = Kind::server,
     .required = true,
     .example = R"("orders.example.net:7000")",
     .meaning = "name or address, and port, that sessions are relayed to",
     .store = [](const Value& v, Target& to) { to.section.route.server = v.host_port; }},
    {.table = "route",
     .name = "tunnel",
     .kind = Kind::tunnel,
     .example = R"("")",
     .meaning = "the [[tunnel]] that sessions go through: its far end reaches the server",
     .store = [](const Value& v, Target& to) { to.section.tunnel_name = v.text; }},
    {.table = "route",
     .name = "intercept",
     .kind = Kind::choice,
     .example = R"("none")",
     .meaning = "how rules of the kernel divert connections to this listener",
     .choices = intercepts,
     .store = [](const Value& v,
                 Target& to) { to.section.route.intercept = relay::Intercept(v.number); }},
    {.table = "route",
     .name = "source",
     .kind = Kind::source,
     .example = R"("self")",
     .meaning = "where the connections to the server come from",
     .store =
         [](const Value& v, Target& to) {
           to.section.route.source = {relay::Source::Kind(v.number), v.address};
         }},
    {.table = "route",
     .name = "mark",
     .kind = Kind::count,
     .example = "0x1f1",
     .meaning = "mark of the connections to the server, which spares them from redirection",
     .highest = UINT32_MAX,
     .store = [](const Value& v,
                 Target& to) { to.section.route.mark = static_cast<std::uint32_t>(v.number); }},
    {.table = "route",
     .name = "catch",
     .kind = Kind::traffic,
     .example = "[]",
     .meaning = "what the rules of the kernel divert to this route",
     .store = [](const Value& v, Target& to) { to.section.route.caught.push_back(v.traffic); }},
    {.table = "route",
     .name = "spare",
     .kind = Kind::traffic,
     .example = "[]",
     .meaning = "what they leave alone of it",
     .store = [](const Value& v, Target& to) { to.section.route.spare.push_back(v.traffic); }},
    {.table = "route",
     .name = "crosses",
     .kind = Kind::choice,
     .example = R"("server")",
     .meaning = "which leg crosses the middlebox that forgets half-closed connections",
     .choices = legs,
     .store = [](const Value& v, Target& to) { to.section.route.fin.crosses = Crosses(v.number); }},
    connect_timeout_of("route"),
    session_idle_of("route"),
    closing_of("route"),
    send_proxy_of("route"),
    {.table = "route",
     .name = "accept_proxy",
     .kind = Kind::truth,
     .example = "false",
     .meaning = "every client is a proxy that sends a PROXY protocol header first",
     .store = [](const Value& v, Target& to) { to.section.route.accept_proxy = v.number != 0; }},
    {.table = "route",
     .name = "trusted",
     .kind = Kind::networks,
     .example = "[]",
     .meaning = "who may connect to a route with accept_proxy",
     .store = [](const Value& v, Target& to) { to.section.route.trusted.push_back(*v.network); }},

    {.table = "route",
     .name = "allow",
     .kind = Kind::networks,
     .example = R"(["0.0.0.0/0", "::/0"])",
     .meaning = "clients that may connect, by their networks",
     .store = [](const Value& v, Target& to) { to.section.route.allow.push_back(*v.network); }},
    {.table = "route",
     .name = "deny",
     .kind = Kind::networks,
     .example = "[]",
     .meaning = "clients that may not, also where allow has them: they are reset",
     .store = [](const Value& v, Target& to) { to.section.route.deny.push_back(*v.network); }},
    {.table = "route",
     .name = "sessions",
     .kind = Kind::count_or_none,
     .example = R"("unlimited")",
     .meaning = "of this route, open at once; more wait to be accepted",
     .lowest = 1,
     .highest = 10'000'000,
     .store = [](const Value& v,
                 Target& to) { to.section.route.sessions = static_cast<std::uint32_t>(v.number); }},
    sessions_per_client_of("route"),
    connects_per_second_of("route"),
    client_prefix_of("route"),

    idle_of("route.keepalive"),
    interval_of("route.keepalive"),
    probes_of("route.keepalive"),

    {.table = "route.fin",
     .name = "release_when_quiet",
     .kind = Kind::limit_or_auto,
     .example = quiet_example,
     .meaning =
         "a held FIN goes out once the other way has been silent this long; 0s is at once; auto: "
         "5s, and four round trips once the other side has shown twice that it waits for the end",
     .store =
         [](const Value& v, Target& to) {
           set_quiet(to, base::Flow::to_server, v);
           set_quiet(to, base::Flow::to_client, v);
         }},
    {.table = "route.fin.release_when_quiet",
     .name = "to_server",
     .kind = Kind::limit_or_auto,
     .example = R"("auto")",
     .meaning = "of the client's end, on its way to the server",
     .store = [](const Value& v, Target& to) { set_quiet(to, base::Flow::to_server, v); }},
    {.table = "route.fin.release_when_quiet",
     .name = "to_client",
     .kind = Kind::limit_or_auto,
     .example = R"("0s")",
     .meaning = "of the server's end, on its way to the client",
     .store = [](const Value& v, Target& to) { set_quiet(to, base::Flow::to_client, v); }},
    {.table = "route.fin",
     .name = "hold_at_most",
     .kind = Kind::limit,
     .example = R"("never")",
     .meaning = "a held FIN goes out after this long, whatever else happens, and the delivery of "
                "what came before a reset ends",
     .store = [](const Value& v, Target& to) { to.section.route.fin.hold_at_most = v.duration; }},
    {.table = "route.fin",
     .name = "nurse_every",
     .kind = Kind::whole_seconds,
     .example = R"("5s")",
     .meaning = "how often TCP keepalives go over a half-closed crossing leg",
     .lowest = one_second,
     .highest = longest_keepalive,
     .store = [](const Value& v, Target& to) { to.section.route.fin.nurse_every = *v.duration; }},
    {.table = "route.fin",
     .name = "half_closed_idle",
     .kind = Kind::limit,
     .example = R"("never")",
     .meaning = "a half-closed session is reset after this long without a byte",
     .lowest = 1,
     .store = [](const Value& v,
                 Target& to) { to.section.route.fin.half_closed_idle = v.duration; }},
    {.table = "route.fin",
     .name = "half_closed_total",
     .kind = Kind::limit,
     .example = R"("never")",
     .meaning =
         "a half-closed session is reset this long after its first end, until all is delivered",
     .lowest = 1,
     .store = [](const Value& v,
                 Target& to) { to.section.route.fin.half_closed_total = v.duration; }},

    {.table = "admin",
     .name = "listen",
     .kind = Kind::listen_or_not,
     .example = R"("")",
     .meaning = "status page, metrics and health at http://this; empty: nothing listens",
     .store =
         [](const Value& v, Target& to) {
           if (v.number != 0) to.config.admin.listen = v.address;
         }},
    {.table = "admin",
     .name = "ready_with_tunnels",
     .kind = Kind::truth,
     .example = "true",
     .meaning = "whether /readyz says no while a tunnel that a route uses has no connection",
     .store = [](const Value& v,
                 Target& to) { to.config.admin.ready_with_tunnels = v.number != 0; }},
});

}  // namespace

std::span<const Key> known_keys() {
  static const std::vector<Key> all = [] {
    std::vector<Key> both(keys.begin(), keys.end());
    both.insert(both.end(), keys_of_pair().begin(), keys_of_pair().end());
    return both;
  }();
  return all;
}

std::span<const Table> known_tables() { return tables; }

const Key* find_key(std::string_view table, std::string_view name) {
  for (const Key& key : known_keys()) {
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
  for (const Key& key : known_keys()) {
    if (key.table == path) names.push_back(key.name);
  }
  for (const Table& table : tables) {
    if (table.parent == path && find_key(path, table.name) == nullptr) names.push_back(table.name);
  }
  return names;
}

}  // namespace finhold::config
