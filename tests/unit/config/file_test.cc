// Configuration files: what good ones mean, and the exact words about wrong ones.
#include "config/file.h"

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>

#include <doctest/doctest.h>

#include "config/keys.h"
#include "unit/config/config_words.h"

using finhold::config::Config;
using finhold::config::FarConfig;
using finhold::config::load_config_file;
using finhold::config::load_config_text;
using finhold::config::TunnelConfig;
using finhold::relay::Route;
using finhold::test::good_route;
using finhold::test::said;
using namespace std::chrono_literals;

namespace {

// A config whose text must be right.
Config config_of(const std::string& text) {
  auto loaded = load_config_text(text);
  REQUIRE_MESSAGE(loaded.ok(), finhold::config::report("t", loaded.error()));
  return loaded.value();
}

std::string sample_text() {
  std::ostringstream text;
  text << std::ifstream(FINHOLD_SOURCE_DIR "/conf/finhold.toml").rdbuf();
  return text.str();
}

// The sample without the "#   " before the lines of its examples, "#   # key = value" among them.
std::string with_examples(const std::string& text) {
  const std::string mark = "#   ";
  std::string active;
  std::istringstream lines(text);
  bool examples = false;
  for (std::string line; std::getline(lines, line);) {
    examples = examples || line.starts_with("# Two transparent routes");
    active += (examples && line.starts_with(mark) ? line.substr(mark.size()) : line) + "\n";
  }
  return active;
}

// Without the "# " before each key that shows its default.
std::string with_defaults(const std::string& text) {
  std::string active;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    // "# key = value": one word of a key's letters before the "=".
    const auto end = line.find_first_not_of("abcdefghijklmnopqrstuvwxyz_", 2);
    const bool is_key = line.starts_with("# ") && end != std::string::npos && end > 2 &&
                        line.substr(line.find_first_not_of(' ', end)).starts_with("= ");
    active += (is_key ? line.substr(2) : line) + "\n";
  }
  return active;
}

void check_same(const Route& a, const Route& b) {
  CHECK(a.name == b.name);
  CHECK(a.listen == b.listen);
  CHECK(a.server == b.server);
  CHECK(a.tunnel == b.tunnel);
  CHECK(a.intercept == b.intercept);
  CHECK(a.source.kind == b.source.kind);
  CHECK(a.source.address == b.source.address);
  CHECK(a.mark == b.mark);
  CHECK(a.connect_timeout == b.connect_timeout);
  CHECK(a.send_proxy == b.send_proxy);
  CHECK(a.accept_proxy == b.accept_proxy);
  CHECK(a.trusted == b.trusted);
  CHECK(a.allow == b.allow);
  CHECK(a.deny == b.deny);
  CHECK(a.sessions == b.sessions);
  CHECK(a.each_client == b.each_client);
  CHECK(a.caught == b.caught);
  CHECK(a.spare == b.spare);
  CHECK(a.keepalive.idle == b.keepalive.idle);
  CHECK(a.keepalive.interval == b.keepalive.interval);
  CHECK(a.keepalive.probes == b.keepalive.probes);
  CHECK(a.keepalive.probing == b.keepalive.probing);
  CHECK(a.fin.crosses == b.fin.crosses);
  CHECK(a.fin.release_when_quiet == b.fin.release_when_quiet);
  CHECK(a.fin.learns_quiet == b.fin.learns_quiet);
  CHECK(a.fin.hold_at_most == b.fin.hold_at_most);
  CHECK(a.fin.nurse_every == b.fin.nurse_every);
  CHECK(a.fin.half_closed_idle == b.fin.half_closed_idle);
  CHECK(a.fin.half_closed_total == b.fin.half_closed_total);
}

void check_same(const FarConfig& one, const FarConfig& two) {
  const auto& a = one.settings;
  const auto& b = two.settings;
  check_same(a.route, b.route);
  REQUIRE(a.tls.has_value() == b.tls.has_value());
  if (a.tls) {
    CHECK(a.tls->certificate == b.tls->certificate);
    CHECK(a.tls->key == b.tls->key);
    CHECK(a.tls->client_ca == b.tls->client_ca);
    CHECK(a.tls->crl == b.tls->crl);
  }
  CHECK(a.token == b.token);
  CHECK(a.allow == b.allow);
  CHECK(a.revoked == b.revoked);
  CHECK(a.life.ping_every == b.life.ping_every);
  CHECK(a.life.ping_timeout == b.life.ping_timeout);
  CHECK(a.connections == b.connections);
  CHECK(a.streams_per_connection == b.streams_per_connection);
}

void check_same(const TunnelConfig& one, const TunnelConfig& two) {
  const auto& a = one.settings;
  const auto& b = two.settings;
  CHECK(a.name == b.name);
  CHECK(a.far == b.far);
  REQUIRE(a.tls.has_value() == b.tls.has_value());
  if (a.tls) {
    CHECK(a.tls->ca == b.tls->ca);
    CHECK(a.tls->certificate == b.tls->certificate);
    CHECK(a.tls->key == b.tls->key);
    CHECK(a.tls->server_name == b.tls->server_name);
    CHECK(a.tls->crl == b.tls->crl);
  }
  CHECK(a.token == b.token);
  CHECK(a.connect_timeout == b.connect_timeout);
  CHECK(a.life.ping_every == b.life.ping_every);
  CHECK(a.life.ping_timeout == b.life.ping_timeout);
  CHECK(a.connections == b.connections);
  CHECK(a.streams_per_connection == b.streams_per_connection);
  CHECK(a.optimistic_data == b.optimistic_data);
  CHECK(a.mark == b.mark);
}

template <typename T>
void check_same(const std::vector<T>& one, const std::vector<T>& two) {
  REQUIRE(one.size() == two.size());
  for (std::size_t i = 0; i < one.size(); ++i) check_same(one[i], two[i]);
}

void check_same(const Config& one, const Config& two) {
  CHECK(one.user.has_value() == two.user.has_value());
  CHECK(one.log.level == two.log.level);
  CHECK(one.log.format == two.log.format);
  CHECK(one.limits.sessions == two.limits.sessions);
  CHECK(one.limits.buffer_per_flow == two.limits.buffer_per_flow);
  CHECK(one.limits.workers == two.limits.workers);
  CHECK(one.limits.drain == two.limits.drain);
  CHECK(one.limits.tunnel_window == two.limits.tunnel_window);
  CHECK(one.admin.listen == two.admin.listen);
  check_same(one.routes, two.routes);
  check_same(one.fars, two.fars);
  check_same(one.tunnels, two.tunnels);
}

}  // namespace

TEST_CASE("every key of a file arrives in the config") {
  const Config config = config_of(R"(
user = "root"
[log]
level = "debug"
format = "json"
[limits]
sessions = 7
buffer_per_flow = "1MiB"
workers = 3
drain = "0s"
tunnel_window = "4MiB"
[[route]]
name = "a"
listen = "[::]:7000"
server = "db.internal:5432"
crosses = "both"
connect_timeout = "1500ms"
send_proxy = "v2"
accept_proxy = true
trusted = ["10.0.0.0/8", "2001:db8::5"]
keepalive = { idle = "20s", interval = "5s", probes = 4 }
[route.fin]
release_when_quiet = "never"
hold_at_most = "1h"
nurse_every = "2s"
half_closed_idle = "10m"
half_closed_total = "2h4m"
[[route]]
name = "b"
listen = "0.0.0.0:0"
server = "[2001:db8::5]:22"
source = "2001:db8::7"
allow = ["10.0.0.0/8", "192.0.2.7"]
deny = ["10.6.0.0/16"]
sessions = 50
sessions_per_client = 5
connects_per_second = 3
client_prefix = 48
keepalive = "off"
[[route]]
name = "c"
listen = "[::1]:15001"
intercept = "redirect"
mark = 0xffffffff
catch = []
[[route]]
name = "d"
listen = "[::]:15002"
intercept = "tproxy"
source = "client"
catch = ["10.0.0.0/8:514", ":7000-7010"]
spare = ["10.9.0.0/16"]
[[route]]
name = "e"
listen = "127.0.0.1:7005"
server = "db.internal:5432"
tunnel = "two"
[[tunnel]]
name = "one"
far = "far.example.net:8443"
tls = { ca = "/a", certificate = "/b", key = "/c", crl = "/l" }
[[tunnel]]
name = "two"
far = "[2001:db8::1]:8443"
tls = { server_name = "far.example.net" }
token = "aB0-._~+/=="
connect_timeout = "3s"
ping_every = "100ms"
ping_timeout = "1h"
connections = 64
streams_per_connection = 1
optimistic_data = false
[[far]]
name = "f"
listen = "[::]:8443"
tls = { certificate = "/d", key = "/e", client_ca = "/f", crl = "/g" }
token = "t"
allow = ["10.0.0.0/8:514", "DB.internal:5432"]
keepalive = { idle = "20s" }
sessions_per_client = 8
connects_per_second = 9
client_prefix = 56
connect_timeout = "4s"
send_proxy = "v1"
ping_every = "7s"
ping_timeout = "8s"
connections = 5
streams_per_connection = 6
revoked = "cut"
[[far]]
listen = "127.0.0.1:8444"
tls = "off"
allow = ["127.0.0.1:514"]
keepalive = "off"
[admin]
listen = "[::1]:9464"
)");
  REQUIRE(config.user.has_value());
  CHECK(config.user->name == "root");
  CHECK(config.user->uid == 0);
  CHECK(config.log.level == finhold::base::log::Level::debug);
  CHECK(config.log.format == finhold::base::log::Format::json);
  CHECK(config.limits.sessions == 7);
  CHECK(config.limits.buffer_per_flow == 1024 * 1024);
  CHECK(config.limits.workers == 3);
  CHECK(config.limits.drain == 0ms);
  CHECK(config.limits.tunnel_window == 4 * 1024 * 1024);
  REQUIRE(config.admin.listen.has_value());
  CHECK(config.admin.listen->text() == "[::1]:9464");
  REQUIRE(config.routes.size() == 5);
  const auto& a = config.routes[0];
  CHECK(a.name == "a");
  CHECK(a.listen.text() == "[::]:7000");
  CHECK(a.server.text() == "db.internal:5432");
  CHECK(a.connect_timeout == 1500ms);
  CHECK(a.send_proxy == finhold::relay::ProxyHeader::v2);
  CHECK(a.accept_proxy);
  REQUIRE(a.trusted.size() == 2);
  CHECK(a.trusted[0].text() == "10.0.0.0/8");
  CHECK(a.trusted[1].text() == "2001:db8::5");
  CHECK(a.keepalive.idle == 20s);
  CHECK(a.keepalive.interval == 5s);
  CHECK(a.keepalive.probes == 4);
  CHECK(a.fin.crosses == finhold::core::Crosses::both);
  for (const auto& quiet : a.fin.release_when_quiet) CHECK_FALSE(quiet.has_value());
  CHECK(a.fin.hold_at_most == finhold::base::Limit(1h));
  CHECK(a.fin.nurse_every == 2s);
  CHECK(a.fin.half_closed_idle == finhold::base::Limit(10min));
  CHECK(a.fin.half_closed_total == finhold::base::Limit(2h + 4min));
  using finhold::relay::Intercept;
  using Source = finhold::relay::Source::Kind;
  CHECK(a.intercept == Intercept::none);
  CHECK(a.source.kind == Source::self);
  CHECK(a.mark == 0x1f1);
  const auto& b = config.routes[1];
  CHECK(b.server.text() == "[2001:db8::5]:22");
  CHECK(b.source.kind == Source::address);
  CHECK(b.source.address.text() == "[2001:db8::7]:0");
  REQUIRE(b.allow.size() == 2);
  CHECK(b.allow[1].text() == "192.0.2.7");
  REQUIRE(b.deny.size() == 1);
  CHECK(b.deny[0].text() == "10.6.0.0/16");
  CHECK(b.sessions == 50);
  CHECK(b.each_client == finhold::relay::ClientLimits{5, 3, 48});
  CHECK_FALSE(b.keepalive.probing);
  CHECK(a.keepalive.probing);
  CHECK(a.allow.empty());
  CHECK(a.sessions == 0);
  CHECK(a.each_client == finhold::relay::ClientLimits{0, 0, 64});
  const auto& c = config.routes[2];
  CHECK(c.intercept == Intercept::redirect);
  CHECK(c.mark == 0xffffffff);
  const auto& d = config.routes[3];
  CHECK(d.intercept == Intercept::tproxy);
  CHECK(d.source.kind == Source::client);
  CHECK(c.caught.empty());
  REQUIRE(d.caught.size() == 2);
  CHECK(d.caught[0].network->text() == "10.0.0.0/8");
  CHECK(d.caught[0].ports.first == 514);
  CHECK(d.caught[1].ports.last == 7010);
  REQUIRE(d.spare.size() == 1);
  CHECK(d.spare[0].network->text() == "10.9.0.0/16");
  const auto& e = config.routes[4];
  CHECK(e.tunnel == 1);
  CHECK(e.fin.crosses == finhold::core::Crosses::none);
  CHECK(a.tunnel == -1);

  REQUIRE(config.tunnels.size() == 2);
  const auto& one = config.tunnels[0].settings;
  CHECK(one.name == "one");
  CHECK(one.far.text() == "far.example.net:8443");
  REQUIRE(one.tls.has_value());
  CHECK(one.tls->ca == "/a");
  CHECK(one.tls->certificate == "/b");
  CHECK(one.tls->key == "/c");
  CHECK(one.tls->server_name == "far.example.net");
  CHECK(one.tls->crl == "/l");
  CHECK(one.token.empty());
  CHECK(one.optimistic_data);
  CHECK(config.tunnels[0].tls.line == 61);
  CHECK(config.tunnels[0].tls.column == 7);
  const auto& two = config.tunnels[1].settings;
  REQUIRE(two.tls.has_value());
  CHECK(two.tls->ca.empty());
  CHECK(two.token == "aB0-._~+/==");
  CHECK(two.connect_timeout == 3s);
  CHECK(two.life.ping_every == 100ms);
  CHECK(two.life.ping_timeout == 1h);
  CHECK(two.connections == 64);
  CHECK(two.streams_per_connection == 1);
  CHECK_FALSE(two.optimistic_data);

  REQUIRE(config.fars.size() == 2);
  const auto& f = config.fars[0].settings;
  CHECK(f.route.name == "f");
  CHECK(f.route.each_client == finhold::relay::ClientLimits{8, 9, 56});
  CHECK(f.route.listen.text() == "[::]:8443");
  CHECK(f.route.keepalive.idle == 20s);
  CHECK(f.route.connect_timeout == 4s);
  CHECK(f.route.send_proxy == finhold::relay::ProxyHeader::v1);
  CHECK(f.route.fin.crosses == finhold::core::Crosses::none);
  REQUIRE(f.tls.has_value());
  CHECK(f.tls->certificate == "/d");
  CHECK(f.tls->key == "/e");
  CHECK(f.tls->client_ca == "/f");
  CHECK(f.tls->crl == "/g");
  CHECK(f.token == "t");
  REQUIRE(f.allow.size() == 2);
  CHECK(f.allow[0].network->text() == "10.0.0.0/8");
  CHECK(f.allow[1].name == "db.internal");
  CHECK(f.life.ping_every == 7s);
  CHECK(f.life.ping_timeout == 8s);
  CHECK(f.connections == 5);
  CHECK(f.streams_per_connection == 6);
  CHECK(f.revoked == finhold::tunnel::Revoked::cut);
  const auto& g = config.fars[1].settings;
  CHECK(g.route.name == "far");
  CHECK_FALSE(g.tls.has_value());
}

TEST_CASE("a tunnel is marked as the routes that redirect are, and so are a far end's dials") {
  const std::string pair =
      "[[tunnel]]\nname = \"t\"\nfar = \"10.0.0.9:8443\"\ntls = \"off\"\n"
      "[[far]]\nlisten = \"127.0.0.1:8443\"\ntls = \"off\"\nallow = [\"10.0.0.5:1\"]\n";
  const Config plain = config_of(good_route + "tunnel = \"t\"\n" + pair);
  CHECK(plain.tunnels[0].settings.mark == 0);
  CHECK(plain.fars[0].settings.route.own_mark() == 0);
  const std::string redirect =
      "[[route]]\nname = \"r\"\nlisten = \"127.0.0.1:7001\"\nintercept = \"redirect\"\n"
      "mark = 0x77\n";
  const Config by_finhold = config_of(good_route + redirect + "catch = [\":514\"]\n" + pair);
  CHECK(by_finhold.tunnels[0].settings.mark == 0x77);
  CHECK(by_finhold.fars[0].settings.route.own_mark() == 0x77);
  const Config by_hand = config_of(good_route + redirect + "tunnel = \"t\"\n" + pair);
  CHECK(by_hand.tunnels[0].settings.mark == 0x77);
}

TEST_CASE("a file with every default written out means the same as one without") {
  std::string text;
  for (const auto& table : finhold::config::known_tables()) {
    if (finhold::config::find_key(table.parent, table.name) != nullptr) continue;  // it has it
    text += (table.is_section() ? "[[" : "[") + std::string(table.path) +
            (table.is_section() ? "]]\n" : "]\n");
    for (const auto& key : finhold::config::known_keys()) {
      if (key.table != table.path) continue;
      text += std::string(key.name) + " = " + std::string(key.example) + "\n";
    }
  }
  check_same(config_of(text), config_of(R"([[route]]
name = "orders"
listen = "127.0.0.1:7000"
server = "orders.example.net:7000"
[[tunnel]]
name = "dc"
far = "far.example.net:8443"
tls = {}
[[far]]
listen = "0.0.0.0:8443"
tls = { certificate = "far.pem", key = "far.key" }
allow = ["10.0.0.0/8:514", "db.internal:5432"]
)"));
}

TEST_CASE("the sample file's examples are right") {
  const Config config = config_of(with_examples(sample_text()));
  REQUIRE(config.routes.size() == 4);
  CHECK(config.routes[1].intercept == finhold::relay::Intercept::redirect);
  CHECK(config.routes[2].intercept == finhold::relay::Intercept::tproxy);
  CHECK(config.routes[2].spare.size() == 1);
  CHECK(config.routes[3].tunnel == 0);
  REQUIRE(config.fars.size() == 1);
  REQUIRE(config.fars[0].settings.tls.has_value());
  CHECK_FALSE(config.fars[0].settings.tls->client_ca.empty());
  REQUIRE(config.tunnels.size() == 1);
  CHECK(config.tunnels[0].settings.tls.has_value());
}

TEST_CASE("the sample file is right, has every key, and shows the defaults behind #") {
  const std::string text = sample_text();
  const std::string active = with_defaults(text);
  CHECK(active != text);
  check_same(config_of(text), config_of(active));
  const std::string examples = with_examples(text);
  const std::string all = with_defaults(examples);
  CHECK(all.size() < examples.size());
  check_same(config_of(examples), config_of(all));
  for (const auto& table : finhold::config::known_tables()) {
    const bool in_item = !table.parent.empty();
    const auto begin = table.is_section() ? all.rfind("[[" + std::string(table.path) + "]]") : 0;
    REQUIRE(begin != std::string::npos);
    for (const auto& key : finhold::config::known_keys()) {
      if (key.table != table.path) continue;
      const std::string name(key.name);
      const auto at = all.find("\n" + name + " ", table.path == "route" ? 0 : begin);
      CHECK_MESSAGE((at != std::string::npos ||
                     (in_item && all.find(" " + name + " = ") != std::string::npos)),
                    name);
    }
  }
}

TEST_CASE("all mistakes of a file are told at once, in its order") {
  CHECK(said(R"([log]
levle = "info"
[limits]
workers = 0
[[route]]
name = "orders"
  listen = "127.0.0.1:70000"
crosses = "sever"
[route.fin]
nurse_every = "never"
[[route]]
name = "orders"
listen = "127.0.0.1:7000"
server = "x:0"
)") == "2:1: unknown key \"levle\" in [log]; did you mean \"level\"?\n"
       "4:11: workers: 0 is too small; write a whole number from 1 to 256, or \"auto\"\n"
       "5:1: route \"orders\" has no server; add server = \"orders.example.net:7000\"\n"
       "7:12: listen: \"127.0.0.1:70000\": \"70000\" is not a port; a port is a number from 0 to "
       "65535\n"
       "8:11: crosses: \"sever\" is not known here; write \"none\", \"client\", \"server\" or "
       "\"both\"\n"
       "10:15: nurse_every: \"never\" is not a duration; write whole numbers with units h, m, s "
       "or ms, such as \"5s\", \"2h4m\" or \"250ms\"\n"
       "12:8: name: route \"orders\" on line 6 has this name already; give every route a name of "
       "its own\n"
       "14:10: server: \"x:0\": \"0\" is not a port; a port is a number from 1 to 65535\n");
}

TEST_CASE("a report names the file in each line and counts the problems") {
  CHECK(finhold::config::report("c.toml", {{3, 7, "one"}, {0, 0, "all"}}) ==
        "c.toml:3:7: one\nc.toml: all\nc.toml: 2 problems\n");
  CHECK(finhold::config::report("\x1b[2J", {{1, 1, "one"}}) ==
        "\\u001B[2J:1:1: one\n\\u001B[2J: 1 problem\n");
}

TEST_CASE("of very many problems a report tells the first, and how many more there are") {
  std::string text;
  for (int i = 0; i < 10'000; ++i) text += "[unknown" + std::to_string(i) + "]\n";
  const auto problems = load_config_text(text).error();
  const std::string told = finhold::config::report("t", problems);
  CHECK(problems.size() > 10'000);
  CHECK(told.size() < 50'000);
  CHECK(std::count(told.begin(), told.end(), '\n') == 102);
  CHECK(told.ends_with("t: and " + std::to_string(problems.size() - 100) +
                       " more like these\nt: " + std::to_string(problems.size()) + " problems\n"));
}

TEST_CASE("a file without a route is told what a route needs") {
  CHECK(said("") ==
        "1:1: there is no route and no far end; add a [[route]] with name, listen and server: what "
        "to relay, and where to, or a [[far]]\n");
  CHECK(said("# nothing yet\n[log]\nlevel = \"info\"\n") ==
        "1:1: there is no route and no far end; add a [[route]] with name, listen and server: what "
        "to relay, and where to, or a [[far]]\n");
}

TEST_CASE("text that is not TOML is told of at its first slip, with the cure") {
  CHECK(said("listen = 127.0.0.1:7000\n") ==
        "1:12: text stands in quotes; write listen = \"127.0.0.1:7000\"\n");
  CHECK(said("[limits]\n  drain = 5s # five\n") ==
        "2:12: text stands in quotes; write drain = \"5s\"\n");
  CHECK(said("crosses = server\n") == "1:11: text stands in quotes; write crosses = \"server\"\n");
  CHECK(said("drain =\n") == "1:8: \"drain\" has no value; write one after the \"=\"\n");
  CHECK(said("drain = \"5s\n") ==
        "1:12: this string does not end; close it with the same quote on the same line\n");
  CHECK(said("drain = \u201C5s\u201D\n") ==
        "1:9: the quotes around this value are curly ones; write plain ones: \"\n");
  CHECK(said("keepalive = { idle = \"30s\",\n  probes = 6 }\n") ==
        "1:28: a table in { } stands on one line, as { key = value, key = value }, with no comma "
        "before the }\n");
  CHECK(said("listen: 127.0.0.1:7000\n") ==
        "1:7: this is not TOML; a line is a [table], a key = value or a # comment\n");
  CHECK(said("{ \"listen\": 7000 }\n") ==
        "1:1: this is not TOML; a line is a [table], a key = value or a # comment\n");
  CHECK(said("hello world\n") ==
        "1:7: this is not TOML; a line is a [table], a key = value or a # comment\n");
  CHECK(said("[log\nlevel = \"info\"\n") ==
        "1:5: this is not TOML; the parser says: table header: expected ']', saw '\\n'\n");
  CHECK(said("[log]\nlevel = \"info\"\nlevel = \"info\"\n") ==
        "3:9: \"level\" stands a second time; keep one of the two\n");
  CHECK(said("[log]\n[limits]\n[log]\n") ==
        "3:1: [log] stands a second time; put its keys below the first one\n");
  CHECK(said("[route]\n[[route]]\n") ==
        "2:1: [route] and [[route]] cannot stand in one file; write [[route]], in two pairs of "
        "brackets, every time\n");
  CHECK(said("[[route]]\n[route]\n") ==
        "2:1: [route] and [[route]] cannot stand in one file; write [[route]], in two pairs of "
        "brackets, every time\n");
  CHECK(
      said("sessions = 07\n") ==
      "1:14: this is not TOML; the parser says: decimal integer: leading zeroes are prohibited\n");
  CHECK(said("name = \"caf\xe9\"\n") ==
        "1:11: the file is not UTF-8 text from here on; save it as UTF-8\n");
}

TEST_CASE("a file that is too large is refused as a whole") {
  CHECK(said(std::string(1024 * 1024 + 1, '#')) ==
        "0:0: is larger than 1MiB; no configuration is, so this is another file\n");
  CHECK(said(std::string(1024 * 1024 - 200, '\n') + good_route) == "ok\n");
}

TEST_CASE("a line that is too long is refused, also one that would exhaust the parser") {
  const std::string words =
      "2:4097: this line is longer than 4096 bytes; break it up, or check that this is the right "
      "file\n";
  CHECK(said("\n#" + std::string(4096, '#')) == words);
  std::string dots = "\n";
  for (int i = 0; i < 500'000; ++i) dots += "a.";
  CHECK(said(dots + "b = 1") == words);
  CHECK(said("#" + std::string(4095, '#') + "\n" + good_route) == "ok\n");
  CHECK(
      said(good_route + "[" + dots.substr(1, 4000) + "b]\n") ==
      "5:2: unknown table \"a\"; there may be user, dumpable, [log], [limits], [admin], [[route]], "
      "[[tunnel]] "
      "and [[far]]\n");
}

TEST_CASE("a byte order mark, CRLF and a missing last line end do not matter") {
  CHECK(said("\xEF\xBB\xBF" + good_route) == "ok\n");
  CHECK(said("[[route]]\r\nname = \"a\"\r\nlisten = \"127.0.0.1:1\"\r\nserver = \"h:1\"") ==
        "ok\n");
}

TEST_CASE("a file that cannot be read says why") {
  const auto reason = [](const std::string& path) {
    const auto loaded = load_config_file(path);
    return loaded.ok() ? "ok" : finhold::config::report("t", loaded.error());
  };
  CHECK(reason("/nonexistent/finhold.toml") ==
        "t: cannot be opened: No such file or directory; check the path and its permissions\n"
        "t: 1 problem\n");
  CHECK(reason("/") ==
        "t: cannot be read: Is a directory; write the path of a file\n"
        "t: 1 problem\n");
  CHECK(reason("/dev/zero") ==
        "t: is larger than 1MiB; no configuration is, so this is another file\n"
        "t: 1 problem\n");
  CHECK(reason(FINHOLD_SOURCE_DIR "/conf/finhold.toml") == "ok");
}
