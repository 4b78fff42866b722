// What `catch` and `spare` cannot mean beside other keys: the exact words, at their place.
#include "config/catch_checks.h"

#include <string>

#include <doctest/doctest.h>

#include "unit/config/config_words.h"

using finhold::config::lets_finhold_pass;
using finhold::test::good_route;
using finhold::test::said;

namespace {

// About a route with these lines, which begin on line 4.
std::string said_of(const std::string& listen, const std::string& lines) {
  return said("[[route]]\nname = \"a\"\nlisten = \"" + listen + "\"\n" + lines + "\n");
}
std::string said_of_redirect(const std::string& lines) {
  return said_of("127.0.0.1:15001", "intercept = \"redirect\"\n" + lines);
}

}  // namespace

TEST_CASE("each wrong item of a list is told of at its place") {
  CHECK(said_of_redirect("catch = [\"10.0.0.0/8:0\",\n  \":x\", 5]") ==
        "5:10: catch: \"10.0.0.0/8:0\" has \"0\" behind the colon; write a port from 1 to 65535, "
        "or two as 7000-7010, the lower one first\n"
        "6:3: catch: \":x\" has \"x\" behind the colon; write a port from 1 to 65535, or two as "
        "7000-7010, the lower one first\n"
        "6:9: catch: found the integer 5 in the list; write strings such as "
        "[\"10.0.0.0/8:514\"]\n");
  CHECK(said_of_redirect("catch = \":514\"") ==
        "5:9: catch: expected a list such as [\"10.0.0.0/8:514\"], found the string \":514\"; "
        "write [\":514\"], in brackets\n");
  CHECK(said_of_redirect("mark = \"0\"\ncatch = [\":514\"]") ==
        "5:8: mark: expected a whole number, found the string \"0\"; write 0 without quotes\n");
}

TEST_CASE("only a route that intercepts catches") {
  CHECK(said(good_route + "catch = [\":514\"]\nspare = [\":515\"]\n") ==
        "5:9: catch: this route intercepts nothing; write intercept = \"redirect\" (beside the "
        "client) or \"tproxy\" (on a gateway) too\n"
        "6:9: spare: this route intercepts nothing; write intercept = \"redirect\" (beside the "
        "client) or \"tproxy\" (on a gateway) too\n");
  CHECK(said(good_route + "catch = []\nspare = []\n") == "ok\n");
  CHECK(said_of_redirect("spare = [\":515\"]") ==
        "5:9: spare: nothing is caught that could be spared; write catch too\n");
  CHECK(said(good_route + "intercept = \"redirct\"\ncatch = [\":514\"]\n")
            .find("intercepts nothing") == std::string::npos);
}

TEST_CASE("connections that pass a gateway have no user") {
  const std::string words =
      "connections that pass a gateway have no user here; name networks and ports, or write "
      "intercept = \"redirect\"\n";
  CHECK(said_of("[::]:15001",
                "intercept = \"tproxy\"\ncatch = [\":5\", \"user:0\"]\nspare = "
                "[\"user:0\"]") == "5:16: catch: " + words + "6:10: spare: " + words);
}

TEST_CASE("what is caught is of a family that the listener has") {
  const std::string catches = R"(catch = [":1", "10.0.0.0/8", "[2001:db8::/32]:5"])";
  CHECK(said_of_redirect(catches) ==
        "5:30: catch: this is IPv6, and the listener of this route, \"127.0.0.1:15001\", is IPv4 "
        "only; write listen = \"[::]:15001\" for both, or another route\n");
  CHECK(said_of("[::1]:5", "intercept = \"tproxy\"\n" + catches) ==
        "5:16: catch: this is IPv4, and the listener of this route, \"[::1]:5\", is IPv6 only; "
        "write listen = \"[::]:5\" for both, or another route\n");
  CHECK(said_of("[::]:5", "intercept = \"tproxy\"\n" + catches) == "ok\n");
  CHECK(said_of_redirect("catch = [\":1\"]\nspare = [\"[2001:db8::/32]\"]") == "ok\n");
}

TEST_CASE("link-local addresses are not caught") {
  const std::string words =
      ": catch: link-local addresses need the interface that their client named, which finhold "
      "cannot know; take the item away, they are never caught\n";
  for (const char* kind : {"redirect", "tproxy"}) {
    const std::string lines = "intercept = \"" + std::string(kind) + "\"\ncatch = ";
    std::string expected;
    for (const char* place : {"5:16", "5:33", "5:48"}) expected.append(place).append(words);
    CHECK(said_of("[::]:5", lines + R"([":1", "[fe80::/10]:5", "[febf:1::2]", "[fe80::1]:1"])") ==
          expected);
    CHECK(said_of("[::]:5", lines + R"(["[fe80::/9]:5", "[fec0::]:5", "[fe8::]:1"])") == "ok\n");
  }
}

TEST_CASE("redirected connections arrive at loopback addresses") {
  const auto route = [](const std::string& listen) {
    return said_of(listen, "intercept = \"redirect\"\ncatch = [\":514\"]");
  };
  for (const char* listen : {"127.0.0.1:5", "0.0.0.0:5", "[::1]:5", "[::]:5"}) {
    CHECK(route(listen) == "ok\n");
  }
  for (const char* listen : {"127.0.0.2:5", "192.0.2.7:5", "[2001:db8::1]:5"}) {
    CHECK(route(listen) ==
          "3:10: listen: redirected connections go to 127.0.0.1 and [::1]; write "
          "\"127.0.0.1:5\", \"[::1]:5\", or \"[::]:5\" for both\n");
  }
}

TEST_CASE("finhold's own connections must pass") {
  const std::string words =
      "finhold would catch the connections that it opens itself; write a mark other than 0, or "
      "spare = [\"user:NAME\"] with the user that it runs as\n";
  CHECK(said_of_redirect("catch = [\":514\"]\nmark = 0") == "6:8: mark: " + words);
  CHECK(said_of_redirect("catch = [\":514\"]\nmark = 0\nspare = [\"user:0\"]") == "ok\n");
  CHECK(said_of_redirect("catch = [\":514\", \"user:0\"]\nmark = 0") == "ok\n");
  CHECK(said_of_redirect("mark = 0") == "ok\n");
  CHECK(said_of("[::]:5", "intercept = \"tproxy\"\ncatch = [\":514\"]\nmark = 0x10000001") ==
        "6:8: mark: only connections of a route with intercept = \"redirect\" are marked; write "
        "that, "
        "or take the mark away\n");
  CHECK(said_of_redirect("catch = [\":514\"]\nmark = 0x10000001") ==
        "6:8: mark: the bit 0x10000000 is for diverted connections; write a mark without it\n");
}

TEST_CASE("which users pass") {
  finhold::relay::Route route;
  finhold::relay::Traffic user;
  user.user = 990;
  CHECK(lets_finhold_pass(route, 1));
  route.mark = 0;
  CHECK_FALSE(lets_finhold_pass(route, 1));
  CHECK_FALSE(lets_finhold_pass(route, std::nullopt));
  route.spare = {user};
  CHECK(lets_finhold_pass(route, std::nullopt));
  CHECK(lets_finhold_pass(route, 990));
  CHECK_FALSE(lets_finhold_pass(route, 991));
  route.spare.clear();
  route.caught = {finhold::relay::Traffic{}, user};
  CHECK(lets_finhold_pass(route, std::nullopt));
  CHECK(lets_finhold_pass(route, 991));
  CHECK_FALSE(lets_finhold_pass(route, 990));
}

TEST_CASE("the user of the file is spared, if its connections are not to be caught") {
  const auto route = [](const std::string& catches) {
    return said(
        "user = \"root\"\n[[route]]\nname = \"a\"\nlisten = \"[::]:15001\"\nintercept = "
        "\"redirect\"\nmark = 0\ncatch = " +
        catches + "\n");
  };
  CHECK(route("[\":514\"]") == "ok\n");
  CHECK(route("[\":514\", \"user:1000\"]") == "ok\n");
  CHECK(route("[\":514\", \"user:0\"]").starts_with("6:8: mark: finhold would catch"));
}

TEST_CASE("a user that finhold is to run as exists") {
  CHECK(said("user = \"no_such_user_here\"\n" + good_route) ==
        "1:8: user: \"no_such_user_here\" is no user of this machine; write a name that \"getent "
        "passwd\" lists, or make it with \"useradd --system\"\n");
  CHECK(said("user = 5\n" + good_route).starts_with("1:8: user: expected a string such as"));
}

TEST_CASE("what finhold opens bears a mark where rules look at it") {
  const std::string others =
      good_route +
      "[[route]]\nname = \"gw\"\nlisten = \"[::]:15002\"\nintercept = \"tproxy\"\n"
      "[[route]]\nname = \"r\"\nlisten = \"[::]:15003\"\nintercept = \"redirect\"\n";
  const auto marks = [](const std::string& text) {
    const auto loaded = finhold::config::load_config_text(text);
    REQUIRE(loaded.ok());
    std::string shown;
    for (const auto& route : loaded.value().routes) shown += std::to_string(route.own_mark()) + " ";
    return shown;
  };
  CHECK(marks(others) == "0 0 497 ");
  CHECK(marks(others + "catch = [\":514\"]\nmark = 7") == "7 7 7 ");
  const std::string as_client =
      "[[route]]\nname = \"c\"\nlisten = \"[::]:15004\"\nintercept = \"tproxy\"\nsource = "
      "\"client\"\n";
  CHECK(marks(others + as_client) == "0 0 497 0 ");
  CHECK(marks(others + as_client + "catch = [\":514\"]") == "0 0 497 497 ");
  // A user that one of two routes spares is caught by the other, but for the mark.
  CHECK(marks(others + "catch = [\":514\"]\nmark = 7\n[[route]]\nname = \"u\"\nlisten = "
                       "\"[::]:15005\"\nintercept = \"redirect\"\ncatch = [\":6\"]\nmark = "
                       "0\nspare = [\"user:0\"]") == "7 7 7 7 ");
  CHECK(marks(others + "catch = [\":514\"]\nmark = 0\nspare = [\"user:0\"]") == "0 0 0 ");
}
