// The rules that divert connections: their exact text. That it loads and works is tested with a
// kernel (integration/interception/test_rules.py).
#include "rules/nft_rules.h"

#include <string>

#include <doctest/doctest.h>

#include "config/file.h"

using finhold::config::Config;
using finhold::rules::as_script;
using finhold::rules::programs_that_load;

namespace {

Config config_of(const std::string& text) {
  auto loaded = finhold::config::load_config_text(text);
  REQUIRE_MESSAGE(loaded.ok(), finhold::config::report("t", loaded.error()));
  return loaded.value();
}

std::string route(const std::string& name, const std::string& listen, const std::string& rest) {
  return "[[route]]\nname = \"" + name + "\"\nlisten = \"" + listen + "\"\n" + rest + "\n";
}

// The part of a loading script from a chain's head to its end.
std::string chain_in(const Config& config, const std::string& name) {
  const std::string script = as_script(programs_that_load(config), "");
  const auto from = script.find("chain " + name + " {\n");
  if (from == std::string::npos) return "none";
  return script.substr(from, script.find("\t}\n", from) + 3 - from);
}

const std::string redirect = "intercept = \"redirect\"\n";
const std::string tproxy = "intercept = \"tproxy\"\n";

}  // namespace

TEST_CASE("the script of a sidecar") {
  const Config config = config_of(
      route("legacy", "[::]:15001",
            redirect + "catch = [\"10.0.0.0/8:514\", \"[2001:db8::/32]:7000-7010\", \":21\", "
                       "\"127.0.0.1:9000\", \"user:1000\", \"user:1001\"]\n"
                       "spare = [\"10.9.0.0/16\", \"user:990\"]"));
  const std::string expected = R"script(#!/bin/sh
# Made by: a test
set -eu
PATH=$PATH:/usr/sbin:/sbin

# All of the table is replaced in one step.
nft -f - <<'END'
add table inet finhold
delete table inet finhold
table inet finhold {
	# route "legacy"
	chain route_legacy {
		meta skuid 990 return
		ip daddr 10.9.0.0/16 meta l4proto tcp return
		ip6 daddr fe80::/10 return
		meta skuid { 1000, 1001 } ip daddr 127.0.0.1 tcp dport 9000 redirect to :15001
		oif "lo" return
		meta skuid { 1000, 1001 } ip daddr 10.0.0.0/8 tcp dport 514 redirect to :15001
		meta skuid { 1000, 1001 } ip6 daddr 2001:db8::/32 tcp dport 7000-7010 redirect to :15001
		meta skuid { 1000, 1001 } tcp dport 21 redirect to :15001
	}

	# Connections that programs of this machine open; the first route that catches one has it.
	chain output {
		type nat hook output priority -100; policy accept;
		meta l4proto != tcp return
		meta mark 0x1f1 return comment "opened by finhold"
		jump route_legacy
	}
}
END

# conntrack would forget a redirected connection 60 s after its first FIN, but for keepalives.
# This makes it a day. Some kernels cannot; then keepalives have to do.
nft -f - 2>/dev/null <<'END' || true
table inet finhold {
	ct timeout patient4 { protocol tcp; l3proto ip; policy = { fin_wait : 86400, close_wait : 86400 }; }
	ct timeout patient6 { protocol tcp; l3proto ip6; policy = { fin_wait : 86400, close_wait : 86400 }; }

	chain redirected {
		type filter hook output priority -90; policy accept;
		ct status dnat meta nfproto ipv4 tcp dport 15001 ct timeout set "patient4"
		ct status dnat meta nfproto ipv6 tcp dport 15001 ct timeout set "patient6"
	}
}
END

# What another set may have left.
for _ in 1 2 3 4 5 6 7 8; do ip -4 rule del priority 538 fwmark 0x10000000/0x10000000 lookup 5382 2>/dev/null || break; done
ip -4 route del local default dev lo table 5382 2>/dev/null || true
for _ in 1 2 3 4 5 6 7 8; do ip -6 rule del priority 538 fwmark 0x10000000/0x10000000 lookup 5382 2>/dev/null || break; done
ip -6 route del local default dev lo table 5382 2>/dev/null || true
)script";
  CHECK(as_script(programs_that_load(config), "Made by: a test") == expected);
}

TEST_CASE("the script of a gateway") {
  const Config config =
      config_of(route("gw", "[::]:15001",
                      tproxy + "catch = [\"10.0.0.0/8:514\", \"[2001:db8::/32]\", \":21\"]\n"
                               "spare = [\":22\"]") +
                route("gw4", "127.0.0.1:15002", tproxy + "catch = [\":80\"]"));
  const std::string expected = R"script(#!/bin/sh
# Made by: a test
set -eu
PATH=$PATH:/usr/sbin:/sbin

# What is marked is delivered here.
ip -4 route replace local default dev lo table 5382
[ -n "$(ip -4 rule show table 5382 2>/dev/null)" ] || ip -4 rule add priority 538 fwmark 0x10000000/0x10000000 lookup 5382
[ -n "$(grep 1 /proc/sys/net/ipv6/conf/lo/disable_ipv6 2>/dev/null)" ] || ip -6 route replace local default dev lo table 5382
[ -n "$(ip -6 rule show table 5382 2>/dev/null)" ] || ip -6 rule add priority 538 fwmark 0x10000000/0x10000000 lookup 5382

# All of the table is replaced in one step.
nft -f - <<'END'
add table inet finhold
delete table inet finhold
table inet finhold {
	# route "gw"
	chain route_gw {
		tcp dport 22 return
		ip daddr 10.0.0.0/8 tcp dport 514 tproxy ip to :15001 meta mark set meta mark | 0x10000000 accept
		ip6 daddr 2001:db8::/32 meta l4proto tcp tproxy ip6 to :15001 meta mark set meta mark | 0x10000000 accept
		tcp dport 21 tproxy to :15001 meta mark set meta mark | 0x10000000 accept
	}

	# route "gw4"
	chain route_gw4 {
		meta nfproto ipv4 tcp dport 80 tproxy ip to 127.0.0.1:15002 meta mark set meta mark | 0x10000000 accept
	}

	# New connections; the first route that catches one has it. What is for this machine itself passes.
	chain new_connections {
		fib daddr type local return
		jump route_gw
		jump route_gw4
	}

	# Connections that pass this machine. Those that are open while the rules are loaded are left alone.
	chain prerouting {
		type filter hook prerouting priority mangle; policy accept;
		meta l4proto != tcp accept
		tcp flags & (fin | syn | rst | ack) == syn goto new_connections
		socket wildcard 1 accept comment "listens, as if for somebody else's connection"
		socket transparent 1 meta mark set meta mark | 0x10000000 accept comment "either leg of a session"
	}
}
END
)script";
  CHECK(as_script(programs_that_load(config), "Made by: a test") == expected);
}

TEST_CASE("conntrack does not see a client's leg that looks like that to its server") {
  const std::string catches = "catch = [\":5\"]\n";
  const std::string as_client = tproxy + "source = \"client\"\n" + catches;
  const Config config =
      config_of(route("a", "[::]:1", as_client) + route("b", "127.0.0.1:2", tproxy + catches));
  CHECK(
      chain_in(config, "route_a") ==
      "chain route_a {\n\t\ttcp dport 5 tproxy to :1 notrack meta mark set meta mark | 0x10000000 "
      "accept\n\t}\n");
  CHECK(chain_in(config, "route_b") ==
        "chain route_b {\n\t\tmeta nfproto ipv4 tcp dport 5 tproxy ip to 127.0.0.1:2 notrack meta "
        "mark set meta mark | 0x10000000 accept\n\t}\n");
  CHECK(chain_in(config, "prerouting") == R"(chain prerouting {
		type filter hook prerouting priority raw; policy accept;
		meta l4proto != tcp accept
		tcp flags & (fin | syn | rst | ack) == syn goto new_connections
		socket wildcard 1 accept comment "listens, as if for somebody else's connection"
		socket mark 0x1f1 accept comment "from a server"
		socket transparent 1 notrack meta mark set meta mark | 0x10000000 accept comment "from a client"
	}
)");
  CHECK(chain_in(config, "from_servers") == R"(chain from_servers {
		type filter hook prerouting priority dstnat + 10; policy accept;
		meta l4proto != tcp accept
		socket wildcard 1 accept comment "listens, as if for somebody else's connection"
		socket transparent 1 meta mark set meta mark | 0x10000000 accept
	}
)");
  CHECK(chain_in(config, "to_clients") == R"(chain to_clients {
		type filter hook output priority raw; policy accept;
		meta l4proto != tcp accept
		meta mark 0x1f1 accept comment "to a server"
		fib saddr type != local notrack
	}
)");
  // The mark is that of a redirecting route, if there is one.
  CHECK(chain_in(config_of(route("a", "[::]:1", as_client) +
                           route("s", "[::]:3", redirect + "mark = 7\n" + catches)),
                 "to_clients")
            .find("meta mark 0x7 accept") != std::string::npos);
}

TEST_CASE("removal needs no configuration, and nothing that is there") {
  const std::string expected = R"script(#!/bin/sh
# Made by: a test
set -eu
PATH=$PATH:/usr/sbin:/sbin

# Added first, so that it is no error if there is none.
nft -f - <<'END'
add table inet finhold
delete table inet finhold
END
for _ in 1 2 3 4 5 6 7 8; do ip -4 rule del priority 538 fwmark 0x10000000/0x10000000 lookup 5382 2>/dev/null || break; done
ip -4 route del local default dev lo table 5382 2>/dev/null || true
for _ in 1 2 3 4 5 6 7 8; do ip -6 rule del priority 538 fwmark 0x10000000/0x10000000 lookup 5382 2>/dev/null || break; done
ip -6 route del local default dev lo table 5382 2>/dev/null || true
)script";
  CHECK(as_script(finhold::rules::programs_that_remove(), "Made by: a test") == expected);
}

TEST_CASE("users alone mean every destination, and a listener of one family catches that one") {
  const std::string users = redirect + "catch = [\"user:1000\"]";
  CHECK(chain_in(config_of(route("a", "[::]:1", users)), "route_a") ==
        "chain route_a {\n\t\tip6 daddr fe80::/10 return\n\t\toif \"lo\" return\n"
        "\t\tmeta skuid 1000 meta l4proto tcp redirect to :1\n\t}\n");
  CHECK(chain_in(config_of(route("a", "127.0.0.1:1", users)), "route_a") ==
        "chain route_a {\n\t\toif \"lo\" return\n"
        "\t\tmeta skuid 1000 meta nfproto ipv4 meta l4proto tcp redirect to :1\n\t}\n");
  CHECK(chain_in(config_of(route("a", "[::1]:1",
                                 redirect + "catch = [\":5\", \"[::/0]:6\"]\n"
                                            "spare = [\"10.0.0.0/8\"]")),
                 "route_a") ==
        "chain route_a {\n\t\tip6 daddr fe80::/10 return\n\t\toif \"lo\" return\n"
        "\t\tmeta nfproto ipv6 tcp dport 5 redirect to :1\n"
        "\t\tmeta nfproto ipv6 tcp dport 6 redirect to :1\n\t}\n");
}

TEST_CASE("what catches loopback only asks for no interface") {
  CHECK(chain_in(
            config_of(route("a", "[::]:1", redirect + "catch = [\"127.0.0.0/8:5\", \"[::1]:5\"]")),
            "route_a") ==
        "chain route_a {\n"
        "\t\tip6 daddr fe80::/10 return\n"
        "\t\tip daddr 127.0.0.0/8 tcp dport 5 redirect to :1\n"
        "\t\tip6 daddr ::1 tcp dport 5 redirect to :1\n\t}\n");
}

TEST_CASE("each route's own connections pass every redirecting route") {
  Config config = config_of(route("a", "[::]:1", redirect + "catch = [\":5\"]\nmark = 7") +
                            route("b", "[::]:2", redirect + R"(catch = [":5", "user:1000"])") +
                            route("c", "[::]:3", redirect + "catch = [\":6\"]") +
                            route("d", "[::]:4", tproxy + "catch = [\":5\"]") +
                            route("e", "[::]:5", redirect + "mark = 9"));
  const std::string start =
      "chain output {\n\t\ttype nat hook output priority -100; policy accept;\n"
      "\t\tmeta l4proto != tcp return\n"
      "\t\tmeta mark 0x7 return comment \"opened by finhold\"\n"
      "\t\tmeta mark 0x9 return comment \"opened by finhold\"\n"
      "\t\tmeta mark 0x1f1 return comment \"opened by finhold\"\n";
  const std::string end = "\t\tjump route_a\n\t\tjump route_b\n\t\tjump route_c\n\t}\n";
  CHECK(chain_in(config, "output") == start + end);
  // One whose connections are to be caught cannot be spared as a whole.
  config.user = finhold::config::User{"app", 1000, 1000};
  CHECK(chain_in(config, "output") == start + end);
  config.user = finhold::config::User{"finhold", 990, 990};
  CHECK(chain_in(config, "output") ==
        start + "\t\tmeta skuid 990 return comment \"opened by finhold's user\"\n" + end);
  CHECK(chain_in(config, "route_e") == "none");
  CHECK(chain_in(config, "new_connections") ==
        "chain new_connections {\n\t\tfib daddr type local return\n\t\tjump route_d\n\t}\n");
  CHECK(chain_in(config, "redirected").find("tcp dport { 1, 2, 3 } ct timeout set \"patient6\"") !=
        std::string::npos);
}

TEST_CASE("catching stops where it begins, and only there") {
  const auto input = [](const std::string& text) {
    return finhold::rules::programs_that_stop_catching(config_of(text)).front().input;
  };
  const std::string here = route("a", "[::]:1", redirect + "catch = [\":5\"]");
  const std::string through = route("b", "[::]:2", tproxy + "catch = [\":5\"]");
  CHECK(input(here) == "flush chain inet finhold output\n");
  CHECK(input(through) == "flush chain inet finhold new_connections\n");
  CHECK(input(here + through) ==
        "flush chain inet finhold output\nflush chain inet finhold new_connections\n");
}

TEST_CASE("a route that catches nothing makes no rules") {
  CHECK_FALSE(finhold::config::any_wants_rules(config_of(route("a", "[::]:1", redirect))));
  CHECK_FALSE(
      finhold::config::any_wants_rules(config_of(route("a", "[::]:1", tproxy + "catch = []"))));
}
