// The exact words about each mistake that a configuration file can have.
#include <string>

#include <doctest/doctest.h>

#include "unit/config/config_words.h"

using finhold::test::good_route;
using finhold::test::said;

namespace {

// The same for a line in the first route of a file (line 5), or in its [route.fin] (line 6).
std::string said_of_route(const std::string& line) { return said(good_route + line + "\n"); }
std::string said_of_fin(const std::string& line) {
  return said(good_route + "[route.fin]\n" + line + "\n");
}
std::string said_of_limits(const std::string& line) {
  return said("[limits]\n" + line + "\n" + good_route);
}

std::string two_listeners(const std::string& first, const std::string& second) {
  return said("[[route]]\nname = \"a\"\nserver = \"h:1\"\nlisten = \"" + first +
              "\"\n[[route]]\nname = \"b\"\nserver = \"h:1\"\nlisten = \"" + second + "\"\n");
}

std::string loop(const std::string& listen, const std::string& server) {
  return said("[[route]]\nname = \"a\"\nlisten = \"" + listen + "\"\nserver = \"" + server +
              "\"\n");
}

}  // namespace

TEST_CASE("an unknown key gets the nearest key, its right table, or the list") {
  CHECK(said_of_route("crossess = \"none\"") ==
        "5:1: unknown key \"crossess\" in [[route]]; did you mean \"crosses\"?\n");
  CHECK(said_of_route("keep-alive = { probes = 1 }") ==
        "5:1: unknown table \"keep-alive\" in [[route]]; did you mean \"keepalive\"?\n");
  CHECK(said_of_route("release_when_quiet = \"5s\"") ==
        "5:1: unknown key \"release_when_quiet\" in [[route]]; it belongs in [route.fin]\n");
  CHECK(said_of_fin("Nurse-Every = \"5s\"") ==
        "6:1: unknown key \"Nurse-Every\" in [route.fin]; did you mean \"nurse_every\"?\n");
  CHECK(said_of_route("keepalive = { foo = 1 }") ==
        "5:15: unknown key \"foo\" in keepalive; the known keys there are idle, interval and "
        "probes\n");
  CHECK(said_of_route("color = 1") ==
        "5:1: unknown key \"color\" in [[route]]; the known keys there are name, listen, server, "
        "tunnel, intercept, source, mark, catch, spare, crosses, connect_timeout, idle, closing, "
        "send_proxy, "
        "accept_proxy, "
        "trusted, allow, deny, sessions, sessions_per_client, connects_per_second, "
        "client_prefix, keepalive and [route.fin]\n");
  CHECK(said("sessions = 5\n" + good_route) ==
        "1:1: unknown key \"sessions\"; it belongs in [limits]\n");
  CHECK(said("color = 5\n" + good_route) ==
        "1:1: unknown key \"color\"; there may be user, dumpable, [log], [limits], [admin], "
        "[[route]], "
        "[[tunnel]] "
        "and [[far]]\n");
  CHECK(
      said("[log]\nuser = \"root\"\n" + good_route) ==
      "2:1: unknown key \"user\" in [log]; it belongs in the first lines of the file, above every "
      "[table]\n");
}

TEST_CASE("a missing key is not told of where it is only misspelt") {
  CHECK(said("[[route]]\nname = \"a\"\nlisten = \"127.0.0.1:1\"\nsevrer = \"h:1\"\n") ==
        "4:1: unknown key \"sevrer\" in [[route]]; did you mean \"server\"?\n");
}

TEST_CASE("an unknown table gets the nearest table, its right place, or the list") {
  CHECK(said("[other]\nlisten = \"127.0.0.1:9464\"\n" + good_route) ==
        "1:2: unknown table \"other\"; there may be user, dumpable, [log], [limits], [admin], "
        "[[route]], "
        "[[tunnel]] "
        "and [[far]]\n");
  CHECK(said("[limit]\nsessions = 0\n" + good_route) ==
        "1:2: unknown table \"limit\"; did you mean [limits]?\n"
        "2:12: sessions: 0 is too small; write a whole number from 1 to 10000000\n");
  CHECK(said("[[routes]]\nname = \"a\"\nlisten = \"127.0.0.1:1\"\nserver = \"h\"\n") ==
        "1:3: unknown table \"routes\"; did you mean [[route]]?\n"
        "4:10: server: \"h\" is not a host and a port; write it as \"example.net:7000\", "
        "\"10.0.0.5:7000\" or \"[2001:db8::5]:7000\"\n");
  CHECK(said(good_route + "[fin]\nx = 1\n") ==
        "5:2: unknown table \"fin\"; write [route.fin] below its [[route]]\n");
  CHECK(said(good_route + "[route.fim]\nnurse_every = \"1s\"\n") ==
        "5:8: unknown table \"fim\" in [[route]]; did you mean [route.fin]?\n");
}

TEST_CASE("tables of the wrong form are told how they are written") {
  CHECK(said("[route]\nname = \"a\"\nlisten = \"127.0.0.1:1\"\nserver = \"h\"\n") ==
        "1:1: a file may have several routes; write [[route]], in two pairs of brackets\n"
        "4:10: server: \"h\" is not a host and a port; write it as \"example.net:7000\", "
        "\"10.0.0.5:7000\" or \"[2001:db8::5]:7000\"\n");
  CHECK(said("[[log]]\nlevel = \"info\"\n" + good_route) ==
        "1:1: there is only one log here; write [log], in one pair of brackets\n");
  CHECK(said(good_route + "[[route.fin]]\n") ==
        "5:1: there is only one fin here; write [route.fin], in one pair of brackets\n");
  CHECK(said("log = \"info\"\n" + good_route) ==
        "1:7: log: expected a table, found the string \"info\"; write [log] on a line of its own, "
        "and its keys below\n");
  CHECK(said_of_route("keepalive = \"30s\"") ==
        "5:13: keepalive: expected a table or \"off\", found the string \"30s\"; write { idle = "
        "\"30s\", interval = \"10s\", probes = 6 }, or some of these, or keepalive = \"off\" for "
        "none at all, where a box drops them\n");
  CHECK(said_of_route("fin = 3") ==
        "5:7: fin: expected a table, found the integer 3; write [route.fin] on a line of its own, "
        "and its keys below\n");
  CHECK(said("route = 3") ==
        "1:9: route: expected a table, found the integer 3; add a [[route]] with name, listen and "
        "server: what to relay, and where to\n");
  CHECK(said("route = []") ==
        "1:9: route: expected a table, found none; add a [[route]] with name, listen and server: "
        "what to relay, and where to\n");
  CHECK(said("route = [ 3 ]") ==
        "1:11: route: expected a table, found the integer 3; write [[route]] on a line of its own, "
        "and its keys below\n");
}

TEST_CASE("a value of the wrong type is told what to write") {
  CHECK(said_of_route("connect_timeout = 5") ==
        "5:19: connect_timeout: expected a string such as \"10s\", found the integer 5; write "
        "\"5s\", in quotes and with its unit\n");
  CHECK(said_of_route("connect_timeout = 2.5") ==
        "5:19: connect_timeout: expected a string such as \"10s\", found the number 2.5\n");
  CHECK(said_of_route("connect_timeout = 10:00:00") ==
        "5:19: connect_timeout: expected a string such as \"10s\", found the date or time "
        "10:00:00\n");
  CHECK(said_of_route("connect_timeout = [ \"5s\" ]") ==
        "5:19: connect_timeout: expected a string such as \"10s\", found an array\n");
  CHECK(said_of_route("connect_timeout = -5") ==
        "5:19: connect_timeout: expected a string such as \"10s\", found the integer -5\n");
  CHECK(said_of_route("crosses = true") ==
        "5:11: crosses: expected \"none\", \"client\", \"server\" or \"both\", found true\n");
  CHECK(said_of_route("crosses = { server = true }") ==
        "5:11: crosses: expected \"none\", \"client\", \"server\" or \"both\", found a table\n");
  CHECK(said_of_route("keepalive.probes = \"6\"") ==
        "5:20: probes: expected a whole number, found the string \"6\"; write 6 without quotes\n");
  CHECK(said_of_route("keepalive.probes = 6.0") ==
        "5:20: probes: expected a whole number from 1 to 127, found the number 6.0\n");
  CHECK(said_of_route("keepalive.probes = \"six\"") ==
        "5:20: probes: expected a whole number from 1 to 127, found the string \"six\"\n");
  CHECK(said_of_fin("half_closed_idle = 60") ==
        "6:20: half_closed_idle: expected a string such as \"10s\" or \"never\", found the integer "
        "60; write \"60s\", in quotes and with its unit\n");
  CHECK(said_of_limits("buffer_per_flow = 262144") ==
        "2:19: buffer_per_flow: expected a string such as \"256KiB\", found the integer 262144; "
        "write \"262144B\", in quotes and with its unit\n");
  CHECK(said_of_limits("workers = \"4\"") ==
        "2:11: workers: expected a whole number, found the string \"4\"; write 4 without quotes\n");
  CHECK(said_of_limits("workers = true") ==
        "2:11: workers: expected a whole number from 1 to 256, or \"auto\", found true\n");
  CHECK(said("[[route]]\nname = 7\nlisten = 7000\nserver = 7000\n") ==
        "2:8: name: expected a string such as \"orders\", found the integer 7; write \"7\", in "
        "quotes\n"
        "3:10: listen: expected a string such as \"127.0.0.1:7000\", found the integer 7000\n"
        "4:10: server: expected a string such as \"orders.example.net:7000\", found the integer "
        "7000\n");
}

TEST_CASE("a number, size or duration out of its range is told the range") {
  CHECK(said_of_limits("sessions = 0") ==
        "2:12: sessions: 0 is too small; write a whole number from 1 to 10000000\n");
  CHECK(said_of_limits("sessions = -1") ==
        "2:12: sessions: -1 is too small; write a whole number from 1 to 10000000\n");
  CHECK(said_of_limits("sessions = 10_000_001") ==
        "2:12: sessions: 10000001 is too large; write a whole number from 1 to 10000000\n");
  CHECK(said_of_limits("buffer_per_flow = \"4KiB\"") ==
        "2:19: buffer_per_flow: \"4KiB\" is too small; write a size from 16KiB to 64MiB\n");
  CHECK(said_of_limits("buffer_per_flow = \"1GiB\"") ==
        "2:19: buffer_per_flow: \"1GiB\" is too large; write a size from 16KiB to 64MiB\n");
  CHECK(said_of_limits("buffer_per_flow = \"256KB\"") ==
        "2:19: buffer_per_flow: \"256KB\" is not a size; write a whole number with B, KiB, MiB or "
        "GiB, such as \"256KiB\"\n");
  CHECK(said_of_limits("workers = 257") ==
        "2:11: workers: 257 is too large; write a whole number from 1 to 256, or \"auto\"\n");
  CHECK(said_of_limits("workers = \"many\"") ==
        "2:11: workers: \"many\" is not a whole number; write a whole number from 1 to 256, or "
        "\"auto\"\n");
  CHECK(said_of_limits("drain = \"never\"") ==
        "2:9: drain: \"never\" is not a duration; write whole numbers with units h, m, s or ms, "
        "such as \"5s\", \"2h4m\" or \"250ms\"\n");
  CHECK(said_of_limits("drain = \"99999999h\"") ==
        "2:9: drain: \"99999999h\" is longer than ten years; write less\n");
  CHECK(said_of_route("connect_timeout = \"0s\"") ==
        "5:19: connect_timeout: \"0s\" is too short; write a duration of 1ms or more\n");
  CHECK(said_of_route("keepalive.idle = \"0s\"") ==
        "5:18: idle: \"0s\" is too short; write a duration from 1s to 32767s in whole seconds\n");
  CHECK(said_of_route("keepalive.interval = \"1500ms\"") ==
        "5:22: interval: \"1500ms\" is not a number of whole seconds; write a duration from 1s to "
        "32767s in whole seconds\n");
  CHECK(said_of_route("keepalive.interval = \"32768s\"") ==
        "5:22: interval: \"32768s\" is too long; write a duration from 1s to 32767s in whole "
        "seconds\n");
  CHECK(said_of_route("keepalive.probes = 128") ==
        "5:20: probes: 128 is too large; write a whole number from 1 to 127\n");
  CHECK(said_of_fin("hold_at_most = \"5 s\"") ==
        "6:16: hold_at_most: \"5 s\" is not a duration; write whole numbers with units h, m, s or "
        "ms, such as \"5s\", \"2h4m\" or \"250ms\", or \"never\"\n");
  CHECK(said_of_fin("half_closed_total = \"0s\"") ==
        "6:21: half_closed_total: \"0s\" is too short; write a duration of 1ms or more, or "
        "\"never\"\n");
}

TEST_CASE("the ends of every range are allowed") {
  CHECK(said_of_limits("sessions = 1") == "ok\n");
  CHECK(said_of_limits("sessions = 10_000_000") == "ok\n");
  CHECK(said_of_limits("buffer_per_flow = \"16KiB\"") == "ok\n");
  CHECK(said_of_limits("buffer_per_flow = \"64MiB\"") == "ok\n");
  CHECK(said_of_limits("workers = 256") == "ok\n");
  CHECK(said_of_route("connect_timeout = \"1ms\"") == "ok\n");
  CHECK(said_of_route("keepalive = { idle = \"1s\", interval = \"32767s\", probes = 127 }") ==
        "ok\n");
  CHECK(said_of_fin("release_when_quiet = \"0s\"\nnurse_every = \"1s\"") == "ok\n");
}

TEST_CASE(
    "release_when_quiet may be given for each way, and mistakes in it are told of at their place") {
  CHECK(said_of_fin("release_when_quiet = { to_server = \"never\", to_client = \"0s\" }") ==
        "ok\n");
  CHECK(said_of_fin("release_when_quiet = { to_client = \"0s\" }") == "ok\n");
  CHECK(said_of_fin("release_when_quiet = \"auto\"") == "ok\n");
  CHECK(said_of_fin("[route.fin.release_when_quiet]\nto_server = \"1s\"") == "ok\n");
  CHECK(said_of_fin("release_when_quiet = { to_servr = \"5s\" }") ==
        "6:24: unknown key \"to_servr\" in release_when_quiet; did you mean \"to_server\"?\n");
  CHECK(said_of_fin("release_when_quiet = { to_server = \"5\" }") ==
        "6:36: to_server: \"5\" is not a duration; write whole numbers with units h, m, s or ms, "
        "such as \"5s\", \"2h4m\" or \"250ms\", or \"never\"\n");
  CHECK(said_of_fin("release_when_quiet = 5") ==
        "6:22: release_when_quiet: expected a string such as \"10s\", \"never\" or \"auto\", or { "
        "to_server = \"auto\", to_client = \"0s\" }, found the integer 5; write \"5s\", in quotes "
        "and "
        "with its unit\n");
  CHECK(said_of_fin("to_server = \"5s\"") ==
        "6:1: unknown key \"to_server\" in [route.fin]; it belongs in release_when_quiet\n");
}

TEST_CASE("each wrong item of a list is told of at its place") {
  CHECK(said_of_route("trusted = []") == "ok\n");
  CHECK(said_of_route("accept_proxy = true\ntrusted = [\"10.0.0.0/8\", \"::1\"]") == "ok\n");
  CHECK(said_of_route("trusted = [\"10.0.0.0/8\",\n  \"10.0.0.1/8\", 5, \"fd00::/8\",\n  \"x\"]") ==
        "6:3: trusted: \"10.0.0.1/8\" has bits set behind its prefix; write \"10.0.0.0/8\" for "
        "the network, or \"10.0.0.1\" for the one address\n"
        "6:17: trusted: found the integer 5 in the list; write strings such as "
        "[\"10.0.0.0/8\"]\n"
        "7:3: trusted: \"x\" is not a network; write it as \"10.0.0.0/8\" or "
        "\"2001:db8::/32\", or one address as \"192.0.2.7\"\n");
  CHECK(said_of_route("trusted = [[\"10.0.0.0/8\"]]") ==
        "5:12: trusted: found an array in the list; write strings such as [\"10.0.0.0/8\"]\n");
  CHECK(said_of_route("trusted = [\"" + std::string(400, 'x') + "\"]") ==
        "5:12: trusted: \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...\" is far too long; write a "
        "network such as \"10.0.0.0/8\" or \"2001:db8::/32\"\n");
  CHECK(said_of_route("trusted = [\"10.0.0.0/\\u001b\"]") ==
        "5:12: trusted: \"10.0.0.0/\\u001B\": \"10.0.0.0/\\u001B\": \"\\u001B\" is not a "
        "prefix length; behind the / of an IPv4 network stands a number from 0 to 32\n");
}

TEST_CASE("a list without its brackets is told how it is written") {
  CHECK(said_of_route("trusted = \"10.0.0.0/8\"") ==
        "5:11: trusted: expected a list such as [\"10.0.0.0/8\"], found the string "
        "\"10.0.0.0/8\"; write [\"10.0.0.0/8\"], in brackets\n");
  CHECK(said_of_route("trusted = true") ==
        "5:11: trusted: expected a list such as [\"10.0.0.0/8\"], found true\n");
  CHECK(said_of_route("trusted = { a = 1 }") ==
        "5:11: trusted: expected a list such as [\"10.0.0.0/8\"], found a table\n");
}

TEST_CASE("a truth is written without quotes") {
  CHECK(said_of_route("accept_proxy = false") == "ok\n");
  CHECK(said_of_route("accept_proxy = \"true\"") ==
        "5:16: accept_proxy: expected true or false, found the string \"true\"; write true without "
        "quotes\n");
  CHECK(said_of_route("accept_proxy = 1") ==
        "5:16: accept_proxy: expected true or false, found the integer 1\n");
  CHECK(said_of_route("accept_proxy = \"v1\"") ==
        "5:16: accept_proxy: expected true or false, found the string \"v1\"\n");
  CHECK(said_of_route("send_proxy = true") ==
        "5:14: send_proxy: expected \"none\", \"v1\" or \"v2\", found true\n");
}

TEST_CASE("PROXY headers are accepted from those who are trusted only") {
  const std::string nobody =
      "accept_proxy: whoever connects could claim any address; add trusted = [\"10.0.0.0/8\"], "
      "with "
      "the addresses of your proxies\n";
  CHECK(said_of_route("accept_proxy = true") == "5:16: " + nobody);
  CHECK(said_of_route("accept_proxy = true\ntrusted = []") == "5:16: " + nobody);
  const std::string alone =
      "trusted: keeps nobody out by itself: it says who may send a PROXY header; add accept_proxy "
      "= "
      "true, or take it away\n";
  CHECK(said_of_route("trusted = [\"::1\"]") == "5:11: " + alone);
  CHECK(said_of_route("trusted = [\"::1\"]\naccept_proxy = false") == "5:11: " + alone);
  // A mistake in one of the two is not told of twice.
  CHECK(
      said_of_route("accept_proxy = true\ntrusted = [\"x\"]") ==
      "6:12: trusted: \"x\" is not a network; write it as \"10.0.0.0/8\" or \"2001:db8::/32\", or "
      "one address as \"192.0.2.7\"\n");
  CHECK(said_of_route("accept_proxy = 1\ntrusted = [\"::1\"]") ==
        "5:16: accept_proxy: expected true or false, found the integer 1\n");
  CHECK(said("[[route]]\nname = \"a\"\nlisten = \"127.0.0.1:1\"\nintercept = "
             "\"redirect\"\naccept_proxy = true\ntrusted = [\"::1\"]\n") ==
        "5:16: accept_proxy: with intercept = \"redirect\" clients do not know of finhold, so a "
        "header that they send is for the server; take one of the two away\n");
}

TEST_CASE("names of routes are short words") {
  const auto named = [](const std::string& name) {
    return said("[[route]]\nname = \"" + name + "\"\nlisten = \"127.0.0.1:1\"\nserver = \"h:1\"\n");
  };
  CHECK(named("A-z_0.9") == "ok\n");
  CHECK(named(std::string(64, 'x')) == "ok\n");
  CHECK(named(std::string(65, 'x')) ==
        "2:8: name: \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\" is not a "
        "name; write 1 to 64 letters, digits, \"_\", \".\" and \"-\"\n");
  CHECK(named("") ==
        "2:8: name: \"\" is not a name; write 1 to 64 letters, digits, \"_\", \".\" and \"-\"\n");
  CHECK(named("my route") ==
        "2:8: name: \"my route\" is not a name; write 1 to 64 letters, digits, \"_\", \".\" and "
        "\"-\"\n");
  CHECK(named("\\u001b[31mred") ==
        "2:8: name: \"\\u001B[31mred\" is not a name; write 1 to 64 letters, digits, \"_\", \".\" "
        "and \"-\"\n");
  CHECK(named("\\u009b31mred") ==
        "2:8: name: \"\\u009B31mred\" is not a name; write 1 to 64 letters, digits, \"_\", \".\" "
        "and \"-\"\n");
}

TEST_CASE("wrong addresses are told how they are written") {
  CHECK(loop("localhost:7000", "h:1") ==
        "3:10: listen: \"localhost:7000\": \"localhost\" is not an IPv4 address; a name cannot "
        "stand here (use \"0.0.0.0\" or \"[::]\" for every address of this machine)\n");
  CHECK(loop("7000", "h:1") ==
        "3:10: listen: \"7000\" is not an address and a port; write it as \"127.0.0.1:7000\" or "
        "\"[::1]:7000\"\n");
  CHECK(loop(":7000", "h:1") ==
        "3:10: listen: \":7000\": the address before the port is missing (use \"0.0.0.0\" or "
        "\"[::]\" for every address of this machine)\n");
  CHECK(loop("::1:7000", "h:1") ==
        "3:10: listen: \"::1:7000\" is not an address and a port; write it as \"127.0.0.1:7000\" "
        "or \"[::1]:7000\"\n");
  CHECK(loop("127.0.0.1\\u0000:7000", "h:1") ==
        "3:10: listen: \"127.0.0.1\\u0000:7000\": \"127.0.0.1\\u0000\" is not an IPv4 address; a "
        "name cannot stand here (use \"0.0.0.0\" or \"[::]\" for every address of this machine)\n");
  CHECK(loop("127.0.0.1:7000", "orders.example.net") ==
        "4:10: server: \"orders.example.net\" is not a host and a port; write it as "
        "\"example.net:7000\", \"10.0.0.5:7000\" or \"[2001:db8::5]:7000\"\n");
  CHECK(loop("127.0.0.1:7000", "http://orders:80/") ==
        "4:10: server: \"http://orders:80/\" is not a host and a port; write it as "
        "\"example.net:7000\", \"10.0.0.5:7000\" or \"[2001:db8::5]:7000\"\n");
  CHECK(loop("127.0.0.1:7000", "10.0.0.256:80") ==
        "4:10: server: \"10.0.0.256:80\": \"10.0.0.256\" is not a host name or an IPv4 address\n");
  CHECK(loop("127.0.0.1:7000", "my host:80") ==
        "4:10: server: \"my host:80\": \"my host\" is not a host name or an IPv4 address\n");
  CHECK(loop("127.0.0.1:7000", std::string(400, 'x')) ==
        "4:10: server: \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...\" is far too long; write a "
        "host and a port such as \"example.net:7000\" or \"10.0.0.5:7000\"\n");
}

TEST_CASE("a route without its required keys is told of at its place") {
  CHECK(said(good_route + "\n  [[route]]\n") ==
        "6:3: this route has no name; add name = \"orders\"\n"
        "6:3: this route has no listen; add listen = \"127.0.0.1:7000\"\n"
        "6:3: this route has no server; add server = \"orders.example.net:7000\"\n");
}

TEST_CASE("a route has a server, or it intercepts") {
  const std::string begin = "[[route]]\nname = \"a\"\nlisten = \"127.0.0.1:7000\"\n";
  CHECK(said(begin + "intercept = \"redirect\"\n") == "ok\n");
  CHECK(said(begin + "intercept = \"tproxy\"\nserver = \"h:1\"\n") ==
        "5:10: server: with intercept = \"tproxy\" the server is where the client was going; take "
        "one of the two away\n");
  CHECK(said(begin + "intercept = \"none\"\n") ==
        "1:1: route \"a\" has no server; add server = \"orders.example.net:7000\"\n");
  // Whoever misspells the word did not forget the server.
  CHECK(said(begin + "intercept = \"redirct\"\n") ==
        "4:13: intercept: \"redirct\" is not known here; write \"none\", \"redirect\" or "
        "\"tproxy\"\n");
  CHECK(said(begin + "intercpt = \"redirect\"\n") ==
        "4:1: unknown key \"intercpt\" in [[route]]; did you mean \"intercept\"?\n");
}

TEST_CASE("a route that intercepts needs a port that rules can name") {
  CHECK(said("[[route]]\nname = \"a\"\nlisten = \"[::]:0\"\nintercept = \"redirect\"\n") ==
        "3:10: listen: port 0 is a new port each time, and the rules that divert connections to it "
        "name one; write a fixed port\n");
}

TEST_CASE("a source is self, client or an address, and fits the route") {
  CHECK(said_of_route("source = \"192.0.2.7\"") == "ok\n");
  CHECK(said_of_route("source = \"self\"") == "ok\n");
  CHECK(said_of_route("source = \"client\"") ==
        "5:10: source: \"client\" needs intercept = \"tproxy\" on a gateway that the server's "
        "answers pass; write that, or \"self\"\n");
  for (const std::string address : {"2001:db8::7", "[2001:db8::7]"}) {
    CHECK(said_of_route("source = \"" + address + "\"") ==
          "5:10: source: the server's address is of the other family; write two IPv4 or two IPv6 "
          "addresses\n");
  }
  for (const std::string wrong : {"me", "", "192.0.2.7:80", "[2001:db8::7]:80", "192.0.2"}) {
    CHECK(said_of_route("source = \"" + wrong + "\"") ==
          "5:10: source: \"" + wrong +
              "\" is not known here; write \"self\", \"client\", or an address of this machine "
              "such as \"192.0.2.7\"\n");
  }
  for (const std::string any : {"0.0.0.0", "::", "[::ffff:0.0.0.0]"}) {
    CHECK(said_of_route("source = \"" + any + "\"") ==
          "5:10: source: \"" + any +
              "\" is no address to come from; write \"self\", and the kernel chooses one\n");
  }
  CHECK(said_of_route("source = 1") ==
        "5:10: source: expected \"self\", \"client\", or an address of this machine such as "
        "\"192.0.2.7\", found the integer 1\n");
}

TEST_CASE("a mark is a whole number of 32 bits, for routes that redirect") {
  const std::string redirect =
      "[[route]]\nname = \"a\"\nlisten = \"127.0.0.1:7000\"\nintercept = \"redirect\"\n";
  CHECK(said(redirect + "mark = 0\n") == "ok\n");
  CHECK(said(redirect + "mark = 0x77\n") == "ok\n");
  CHECK(said(redirect + "mark = 4294967296\n") ==
        "5:8: mark: 4294967296 is too large; write a whole number from 0 to 4294967295\n");
  CHECK(said(redirect + "mark = \"0x77\"\n") ==
        "5:8: mark: expected a whole number from 0 to 4294967295, found the string \"0x77\"\n");
  CHECK(said_of_route("mark = 0x77") ==
        "5:8: mark: only connections of a route with intercept = \"redirect\" are marked; write "
        "that, or take the mark away\n");
}

TEST_CASE("a listen address that is taken, wholly or in part, is refused") {
  CHECK(two_listeners("127.0.0.1:7000", "127.0.0.1:7000") ==
        "8:10: listen: \"127.0.0.1:7000\" is taken by route \"a\" on line 4; give one of them "
        "another port\n");
  CHECK(two_listeners("0.0.0.0:7000", "127.0.0.1:7000") ==
        "8:10: listen: \"127.0.0.1:7000\" overlaps \"0.0.0.0:7000\" of route \"a\" on line 4; give "
        "one of them another port\n");
  CHECK(two_listeners("127.0.0.1:7000", "0.0.0.0:7000") ==
        "8:10: listen: \"0.0.0.0:7000\" overlaps \"127.0.0.1:7000\" of route \"a\" on line 4; give "
        "one of them another port\n");
  CHECK(two_listeners("[::]:7000", "0.0.0.0:7000") ==
        "8:10: listen: \"0.0.0.0:7000\" overlaps \"[::]:7000\" of route \"a\" on line 4; give one "
        "of them another port\n");
  CHECK(two_listeners("[::1]:7000", "[::]:7000") ==
        "8:10: listen: \"[::]:7000\" overlaps \"[::1]:7000\" of route \"a\" on line 4; give one of "
        "them another port\n");
  CHECK(two_listeners("[::ffff:127.0.0.1]:7000", "127.0.0.1:7000") ==
        "8:10: listen: \"127.0.0.1:7000\" is taken by route \"a\" on line 4; give one of them "
        "another port\n");
}

TEST_CASE("a listen address that [admin] has, wholly or in part, is refused") {
  const auto with_admin = [](const std::string& address, const std::string& items) {
    return said("[admin]\nlisten = \"" + address + "\"\n" + items);
  };
  CHECK(with_admin("127.0.0.1:7000", good_route) ==
        "5:10: listen: \"127.0.0.1:7000\" is taken by [admin] on line 2; give one of them another "
        "port\n");
  CHECK(with_admin("0.0.0.0:7000", good_route) ==
        "5:10: listen: \"127.0.0.1:7000\" overlaps \"0.0.0.0:7000\" of [admin] on line 2; give one "
        "of them another port\n");
  CHECK(with_admin("127.0.0.1:1",
                   "[[far]]\nlisten = \"[::]:1\"\ntls = \"off\"\nallow = [\"10.0.0.5:1\"]\n") ==
        "4:10: listen: \"[::]:1\" overlaps \"127.0.0.1:1\" of [admin] on line 2; give one of them "
        "another port\n");
  CHECK(said(good_route + "[admin]\nlisten = \"127.0.0.1:7000\"\n") ==
        "3:10: listen: \"127.0.0.1:7000\" is taken by [admin] on line 6; give one of them another "
        "port\n");
  CHECK(with_admin("127.0.0.1:7001", good_route) == "ok\n");
  CHECK(with_admin("127.0.0.2:7000", good_route) == "ok\n");
}

TEST_CASE("listen addresses that differ may share a port, and port 0 is never taken") {
  CHECK(two_listeners("127.0.0.1:7000", "127.0.0.2:7000") == "ok\n");
  CHECK(two_listeners("127.0.0.1:7000", "127.0.0.1:7001") == "ok\n");
  CHECK(two_listeners("0.0.0.0:7000", "[::1]:7000") == "ok\n");
  CHECK(two_listeners("127.0.0.1:0", "127.0.0.1:0") == "ok\n");
  CHECK(two_listeners("[::]:0", "0.0.0.0:0") == "ok\n");
}

TEST_CASE("a route that leads back to itself is refused") {
  CHECK(loop("127.0.0.1:7000", "127.0.0.1:7000") ==
        "4:10: server: \"127.0.0.1:7000\" leads back to this route's own listen address "
        "\"127.0.0.1:7000\"; write where the server is, or another port\n");
  CHECK(loop("0.0.0.0:7000", "127.0.0.1:7000") ==
        "4:10: server: \"127.0.0.1:7000\" leads back to this route's own listen address "
        "\"0.0.0.0:7000\"; write where the server is, or another port\n");
  CHECK(loop("[::]:7000", "[::1]:7000") ==
        "4:10: server: \"[::1]:7000\" leads back to this route's own listen address \"[::]:7000\"; "
        "write where the server is, or another port\n");
  CHECK(loop("127.0.0.1:7000", "0.0.0.0:7000") ==
        "4:10: server: \"0.0.0.0:7000\" leads back to this route's own listen address "
        "\"127.0.0.1:7000\"; write where the server is, or another port\n");
  CHECK(loop("0.0.0.0:7000", "10.0.0.5:7000") == "ok\n");
  CHECK(loop("127.0.0.1:7000", "127.0.0.2:7000") == "ok\n");
  CHECK(loop("127.0.0.1:7000", "localhost:7000") == "ok\n");
}

TEST_CASE("lists of clients that let nobody in are told") {
  CHECK(said_of_route("allow = []") ==
        "5:9: allow: lets nobody in; write the networks of those who may connect, such as "
        "[\"10.0.0.0/8\"], or take it away for everybody\n");
  CHECK(
      said_of_route("allow = [\"10.1.0.0/16\", \"192.0.2.7\"]\ndeny = [\"10.0.0.0/8\"]") ==
      "5:10: allow: nobody of this may connect, since deny has \"10.0.0.0/8\", and wins; take one "
      "of the two away\n");
  CHECK(
      said_of_route("deny = [\"0.0.0.0/0\"]") ==
      "5:8: deny: nobody may connect; write allow = [\"10.0.0.0/8\"] instead, with the networks of "
      "those who may\n");
  CHECK(
      said_of_route("allow = [\"2001:db8::/32\"]") ==
      "5:9: allow: nobody of these can connect: the listener of this route, \"127.0.0.1:7000\", is "
      "IPv4 only; write listen = \"[::]:7000\" for both, or networks that reach it\n");
  CHECK(said_of_route("allow = [\"10.0.0.1/8\"]") ==
        "5:10: allow: \"10.0.0.1/8\" has bits set behind its prefix; write \"10.0.0.0/8\" for the "
        "network, or \"10.0.0.1\" for the one address\n");
}

TEST_CASE("lists of clients that let somebody in are none") {
  CHECK(said_of_route("allow = [\"0.0.0.0/0\", \"::/0\"]") == "ok\n");
  CHECK(said_of_route("allow = [\"10.0.0.0/8\"]\ndeny = [\"10.6.0.0/16\", \"::/0\"]") == "ok\n");
  CHECK(said_of_route("deny = [\"::/0\"]") == "ok\n");
  CHECK(said_of_route("accept_proxy = true\ntrusted = [\"10.0.0.0/8\"]\ndeny = [\"0.0.0.0/0\"]") ==
        "ok\n");
}

TEST_CASE("limits of clients are numbers from 1, or unlimited") {
  for (const std::string key : {"sessions", "sessions_per_client", "connects_per_second"}) {
    const std::string most = key == "connects_per_second" ? "100000" : "10000000";
    CHECK(said_of_route(key + " = \"unlimited\"") == "ok\n");
    CHECK(said_of_route(key + " = 1") == "ok\n");
    std::string told = "5:";
    told.append(std::to_string(key.size() + 4)).append(": ").append(key);
    told.append(": 0 is too small; write a whole number from 1 to ").append(most);
    told.append(", or \"unlimited\"\n");
    CHECK(said_of_route(key + " = 0") == told);
  }
  CHECK(said_of_route("client_prefix = 129") ==
        "5:17: client_prefix: 129 is too large; write a whole number from 16 to 128\n");
}

TEST_CASE("keepalive is a table, or off, and then there is no nursing") {
  CHECK(said_of_route("keepalive = \"off\"") == "ok\n");
  CHECK(
      said_of_route("keepalive = \"off\"\n[route.fin]\nnurse_every = \"5s\"") ==
      "7:15: nurse_every: nursing is done by keepalives, and keepalive is \"off\"; take one of the "
      "two away\n");
}
