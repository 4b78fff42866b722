// The exact words about mistakes in [[tunnel]], [[far]] and routes that use a tunnel.
#include <string>

#include <doctest/doctest.h>

#include "unit/config/config_words.h"

using finhold::test::good_route;
using finhold::test::said;

namespace {

const std::string good_tunnel =
    "[[tunnel]]\n"
    "name = \"dc\"\n"
    "far = \"far.example.net:8443\"\n"
    "tls = \"off\"\n";
const std::string good_far =
    "[[far]]\n"
    "listen = \"127.0.0.1:8443\"\n"
    "allow = [\"10.0.0.0/8:514\"]\n"
    "tls = \"off\"\n";

// Of a line in the first route of a file (line 5), in its tunnel (line 9), in its far end (line 5).
std::string said_of_route(const std::string& line) {
  return said(good_route + line + "\n" + good_tunnel);
}
std::string said_of_tunnel(const std::string& line) {
  return said(good_route + good_tunnel + line + "\n");
}
std::string said_of_far(const std::string& line) { return said(good_far + line + "\n"); }

std::string said_of_allow(const std::string& list) {
  return said("[[far]]\nlisten = \"127.0.0.1:8443\"\ntls = \"off\"\nallow = " + list + "\n");
}

const std::string in_clear =
    "or tls = \"off\" for plain text, which everybody on the way can read and change\n";
const std::string near_tls = R"({ ca = "ca.pem", certificate = "near.pem", key = "near.key" })";
const std::string far_tls = R"({ certificate = "far.pem", key = "far.key", client_ca = "ca.pem" })";
const std::string no_token =
    "token: is not a token; write 1 to 1024 letters, digits and -._~+/ with = at its end only, "
    "such as \"openssl rand -hex 32\" prints\n";

}  // namespace

TEST_CASE("a far end needs no route, and a tunnel none that uses it") {
  CHECK(said(good_far) == "ok\n");
  CHECK(said(good_route + good_tunnel) == "ok\n");
  CHECK(said_of_route("tunnel = \"dc\"") == "ok\n");
  CHECK(said_of_route("tunnel = \"\"") == "ok\n");
  CHECK(said(good_tunnel) ==
        "1:1: there is no route and no far end; add a [[route]] with name, listen and server: what "
        "to relay, and where to, or a [[far]]\n");
}

TEST_CASE("the ends of a pair are told what they lack") {
  CHECK(said(good_route + "[[tunnel]]\n") ==
        "5:1: this tunnel has no name; add name = \"dc\"\n"
        "5:1: this tunnel has no far; add far = \"far.example.net:8443\"\n"
        "5:1: this tunnel has no tls; add tls = " +
            near_tls + ", " + in_clear);
  CHECK(said("[[far]]\nname = \"f\"\n") ==
        "1:1: far end \"f\" has no listen; add listen = \"0.0.0.0:8443\"\n"
        "1:1: far end \"f\" has no allow; add allow = [\"10.0.0.0/8:514\", \"db.internal:5432\"]\n"
        "1:1: far end \"f\" has no tls; add tls = " +
            far_tls + ", " + in_clear);
  CHECK(said("[[far]]\nlisten = \"127.0.0.1:1\"\nallow = [\"10.0.0.5:1\"]\n"
             "tls = { certificate = \"c\" }\n") == "4:7: tls has no key; add key = \"far.key\"\n");
  CHECK(said("far = 1") ==
        "1:7: far: expected a table, found the integer 1; add a [[far]] with listen, tls and "
        "allow: where near ends connect to, and what they may open\n");
}

TEST_CASE("tls is a table, or off in so many words") {
  const auto tls = [](const std::string& value) {
    return said("[[far]]\nlisten = \"127.0.0.1:1\"\nallow = [\"10.0.0.5:1\"]\ntls = " + value +
                "\n");
  };
  const std::string cure = "; write " + far_tls + ", or some of these, " + in_clear;
  CHECK(tls("\"none\"") ==
        "4:7: tls: expected a table or \"off\", found the string \"none\"" + cure);
  CHECK(tls("false") == "4:7: tls: expected a table or \"off\", found false" + cure);
  CHECK(tls("{ certificate = \"\", key = \"k\" }") ==
        "4:23: certificate: \"\" is not a path; write the path of a file such as "
        "\"/etc/finhold/ca.pem\"\n");
  CHECK(tls("{ certificate = \"c\", key = \"k\", client-ca = \"x\" }") ==
        "4:39: unknown key \"client-ca\" in tls of [[far]]; did you mean \"client_ca\"?\n");
  CHECK(tls("{ certificate = \"c\", key = \"k\", ca = \"x\" }") ==
        "4:39: unknown key \"ca\" in tls of [[far]]; it belongs in tls of [[tunnel]]\n");
  CHECK(said(good_route + "tls = \"off\"\n") ==
        "5:1: unknown key \"tls\" in [[route]]; the known keys there are name, listen, server, "
        "tunnel, intercept, source, mark, catch, spare, crosses, connect_timeout, idle, closing, "
        "send_proxy, "
        "accept_proxy, trusted, allow, deny, sessions, sessions_per_client, connects_per_second, "
        "client_prefix, keepalive and [route.fin]\n");
  CHECK(said(good_route + "[route.tls]\nca = \"x\"\n") ==
        "5:8: unknown table \"tls\" in [[route]]; write tls below its [[tunnel]]\n");
}

TEST_CASE("a near end's certificate and its key belong together") {
  const auto tls = [](const std::string& keys) {
    return said(good_route + "[[tunnel]]\nname = \"dc\"\nfar = \"h:1\"\ntls = { " + keys + " }\n");
  };
  CHECK(tls("") == "ok\n");
  CHECK(tls("certificate = \"c\", key = \"k\"") == "ok\n");
  CHECK(tls("certificate = \"c\"") ==
        "8:23: certificate: needs its private key; add key = \"near.key\"\n");
  CHECK(tls("key = \"k\"") == "8:15: key: is of no use alone; add certificate = \"near.pem\"\n");
  CHECK(tls("server_name = \"a b\"") ==
        "8:23: server_name: \"a b\" is neither a name nor an address; write a name or an address "
        "such as \"far.example.net\" or \"192.0.2.7\", or \"\"\n");
  CHECK(tls("server_name = \"2001:db8::1\"") == "ok\n");
}

TEST_CASE("a list of revoked certificates belongs to those who issue them") {
  const auto near_with = [](const std::string& keys) {
    return said(good_route + "[[tunnel]]\nname = \"dc\"\nfar = \"h:1\"\ntls = { " + keys + " }\n");
  };
  const auto far_with = [](const std::string& keys) {
    return said("[[far]]\nlisten = \"127.0.0.1:1\"\nallow = [\"10.0.0.5:1\"]\ntls = { " + keys +
                ", certificate = \"c\", key = \"k\" }\n");
  };
  CHECK(near_with("crl = \"l\", ca = \"c\"") == "ok\n");
  CHECK(near_with("crl = \"\"") == "ok\n");
  CHECK(near_with("crl = \"l\"") ==
        "8:15: crl: is of what ca has; add ca = \"ca.pem\", or leave it out\n");
  CHECK(far_with("crl = \"l\", client_ca = \"c\"") == "ok\n");
  CHECK(far_with("crl = \"\"") == "ok\n");
  CHECK(far_with("crl = \"l\"") ==
        "4:15: crl: is of what client_ca has; add client_ca = \"ca.pem\", or leave it out\n");
}

TEST_CASE("a token is what a header can carry, and is never repeated") {
  CHECK(said_of_far("token = \"aB0-._~+/==\"") == "ok\n");
  CHECK(said_of_far("token = \"" + std::string(1024, 'x') + "\"") == "ok\n");
  for (const std::string wrong :
       {R"("se cret")", R"("secret\u0007")", R"("=")", R"("sec=ret")", R"('s"ecret')"}) {
    CHECK(said_of_far("token = " + wrong) == "5:9: " + no_token);
    CHECK(said_of_tunnel("token = " + wrong) == "9:9: " + no_token);
  }
  CHECK(said_of_far("token = \"" + std::string(1025, 'x') + "\"") == "5:9: " + no_token);
  CHECK(said_of_far("token = 4711") == "5:9: token: expected a string, in quotes\n");
  CHECK(said_of_far("token = [\"secret\"]") == "5:9: token: expected a string, in quotes\n");
  CHECK(said_of_far("token = secret") == "5:9: text stands in quotes; write token = \"...\"\n");
  CHECK(said_of_far("tokn = secret") == "5:8: text stands in quotes; write tokn = \"...\"\n");
  CHECK(said_of_far("tokn = \"secret\"") ==
        "5:1: unknown key \"tokn\" in [[far]]; did you mean \"token\"?\n");
}

TEST_CASE("each wrong item of allow is told of at its place, and nothing is not enough") {
  CHECK(said_of_allow("[]") ==
        "4:9: allow: opens nothing; write what near ends may open, such as "
        "[\"10.0.0.0/8:514\", \"db.internal:5432\"]\n");
  CHECK(said_of_allow("\"10.0.0.5:514\"") ==
        "4:9: allow: expected a list such as [\"10.0.0.0/8:514\", \"db.internal:5432\"], found the "
        "string \"10.0.0.5:514\"; write [\"10.0.0.5:514\"], in brackets\n");
  CHECK(
      said_of_allow("[\"10.0.0.5\",\n \"10.0.0.1/8:1\", \"*.internal:1\", 5,\n \"localhost:1\"]") ==
      "4:10: allow: \"10.0.0.5\" has no port; write a port from 1 to 65535, or two as "
      "7000-7010, the lower one first, behind a colon (1-65535 for every port)\n"
      "5:2: allow: \"10.0.0.1/8:1\": \"10.0.0.1/8\" has bits set behind its prefix; write "
      "\"10.0.0.0/8\" for the network, or \"10.0.0.1\" for the one address\n"
      "5:18: allow: \"*.internal:1\" has a wildcard; names are listed one by one, or the "
      "networks that their addresses are in\n"
      "5:34: allow: found the integer 5 in the list; write strings such as "
      "[\"10.0.0.0/8:514\", \"db.internal:5432\"]\n"
      "6:2: allow: \"localhost:1\" opens nothing: loopback is listed as an address, "
      "\"127.0.0.1\" or \"[::1]\", with the port behind it\n");
}

TEST_CASE("numbers and times of a pair have their ranges") {
  CHECK(said_of_far("ping_timeout = \"never\"") ==
        "5:16: ping_timeout: \"never\" is not a duration; write whole numbers with units h, m, s "
        "or ms, such as \"5s\", \"2h4m\" or \"250ms\"\n");
  CHECK(said_of_far("ping_every = \"99ms\"") ==
        "5:14: ping_every: \"99ms\" is too short; write a duration from 100ms to 1h\n");
  CHECK(said_of_tunnel("ping_every = \"2h\"") ==
        "9:14: ping_every: \"2h\" is too long; write a duration from 100ms to 1h\n");
  CHECK(said_of_tunnel("connections = 0") ==
        "9:15: connections: 0 is too small; write a whole number from 1 to 64\n");
  CHECK(said_of_tunnel("streams_per_connection = 1001") ==
        "9:26: streams_per_connection: 1001 is too large; write a whole number from 1 to 1000\n");
  CHECK(said_of_tunnel("optimistic_data = 1") ==
        "9:19: optimistic_data: expected true or false, found the integer 1\n");
  CHECK(said("[limits]\ntunnel_window = \"16KiB\"\n" + good_far) ==
        "2:17: tunnel_window: \"16KiB\" is too small; write a size from 64KiB to 64MiB\n");
}

TEST_CASE("a route names a tunnel that there is") {
  CHECK(said_of_route("tunnel = \"dx\"") ==
        "5:10: tunnel: there is no [[tunnel]] named \"dx\"; did you mean \"dc\"?\n");
  CHECK(said_of_route("tunnel = \"elsewhere\"") ==
        "5:10: tunnel: there is no [[tunnel]] named \"elsewhere\"; write the name of one that this "
        "file has\n");
  CHECK(said(good_route + "tunnel = \"dc\"\n") ==
        "5:10: tunnel: there is no [[tunnel]] named \"dc\"; add a [[tunnel]] with name, far and "
        "tls: where its far end is, and how to know it\n");
  CHECK(said_of_route("tunnel = \"d c\"") ==
        "5:10: tunnel: \"d c\" is not a name; write the name of a [[tunnel]], or \"\"\n");
  CHECK(
      said_of_route("tunnel = 3") ==
      "5:10: tunnel: expected the name of a [[tunnel]], or \"\", found the integer 3; write \"3\", "
      "in quotes\n");
  // The one that is meant may be the one whose name is wrong.
  CHECK(
      said(good_route + "tunnel = \"dc\"\n[[tunnel]]\nname = \"d c\"\nfar = \"h:1\"\n"
                        "tls = \"off\"\n") ==
      "7:8: name: \"d c\" is not a name; write 1 to 64 letters, digits, \"_\", \".\" and \"-\"\n");
}

TEST_CASE("a route with a tunnel leaves to the far end what that does") {
  const std::string via = "tunnel = \"dc\"\n";
  CHECK(said_of_route(via + "crosses = \"none\"") == "ok\n");
  CHECK(said_of_route(via + "crosses = \"client\"") == "ok\n");
  for (const std::string crosses : {"server", "both"}) {
    std::string lines = via + "crosses = \"";
    lines.append(crosses).append("\"");
    CHECK(said_of_route(lines) ==
          "6:11: crosses: with a tunnel every end is told in band, and nothing crosses the box "
          "that could be held; take crosses away, or write \"none\" or \"client\"\n");
  }
  CHECK(said_of_route(via + "send_proxy = \"none\"") == "ok\n");
  CHECK(said_of_route(via + "send_proxy = \"v1\"") ==
        "6:14: send_proxy: with a tunnel its far end connects to the server; write send_proxy in "
        "the [[far]]\n");
  CHECK(said_of_route(via + "source = \"self\"") == "ok\n");
  for (const std::string source : {"client", "192.0.2.7", "2001:db8::7"}) {
    std::string lines = via + "source = \"";
    lines.append(source).append("\"");
    CHECK(said_of_route(lines) ==
          "6:10: source: with a tunnel its far end connects to the server, from where that one is; "
          "take source away\n");
  }
  // The server is in the far end's network, whose addresses may be the same.
  CHECK(said("[[route]]\nname = \"a\"\nlisten = \"127.0.0.1:7000\"\nserver = \"127.0.0.1:7000\"\n" +
             via + good_tunnel) == "ok\n");
  CHECK(said("[[route]]\nname = \"a\"\nlisten = \"127.0.0.1:7000\"\nintercept = \"redirect\"\n" +
             via + good_tunnel) == "ok\n");
}

TEST_CASE("a tunnel that leads to a route of the same file is refused") {
  const auto far = [](const std::string& address) {
    return said(good_route + "[[tunnel]]\nname = \"dc\"\ntls = \"off\"\nfar = \"" + address +
                "\"\n" + good_far);
  };
  CHECK(far("127.0.0.1:7000") ==
        "8:7: far: \"127.0.0.1:7000\" is where route \"a\" on line 3 listens, which is no far end; "
        "write where a [[far]] listens\n");
  CHECK(far("127.0.0.1:8443") == "ok\n");
}

TEST_CASE("names are told apart: those of tunnels, and those of routes and far ends") {
  CHECK(said(good_route + good_tunnel + good_tunnel) ==
        "10:8: name: tunnel \"dc\" on line 6 has this name already; give every tunnel a name of "
        "its own\n");
  CHECK(said(good_route + good_far + "name = \"a\"\n") ==
        "9:8: name: route \"a\" on line 2 has this name already; give each of them a name of its "
        "own\n");
  CHECK(said(good_far + "[[far]]\nlisten = \"127.0.0.1:8444\"\nallow = [\"10.0.0.5:1\"]\n"
                        "tls = \"off\"\n") ==
        "5:1: name: without one it is \"far\", and the far end on line 1 has this name already; "
        "give every far end a name of its own\n");
  CHECK(said(good_route + "[[tunnel]]\nname = \"a\"\nfar = \"h:1\"\ntls = \"off\"\n") == "ok\n");
}

TEST_CASE("a far end does not listen where a route does") {
  CHECK(said(good_route + "[[far]]\nlisten = \"0.0.0.0:7000\"\nallow = [\"10.0.0.5:1\"]\n"
                          "tls = \"off\"\n") ==
        "6:10: listen: \"0.0.0.0:7000\" overlaps \"127.0.0.1:7000\" of route \"a\" on line 3; give "
        "one of them another port\n");
}
