// What a reload changes: which sockets stay, which ends are the same, what it cannot change.
#include <doctest/doctest.h>

#include "config/file.h"
#include "server/generation.h"
#include "server/listen_plan.h"
#include "server/unreloadable_settings.h"

namespace finhold::server {
namespace {

ListenPlace place(const char* name, const char* address, bool transparent = false,
                  bool kept = false) {
  return {name, base::Address::parse(address).value(), transparent, kept};
}

std::vector<int> taken(const std::vector<ListenPlace>& now, const std::vector<ListenPlace>& next) {
  std::vector<int> from;
  for (const ListenStep& step : plan_listening(now, next)) {
    from.push_back(step.from ? static_cast<int>(*step.from) : -1);
  }
  return from;
}

Generation generation(const std::string& text) {
  auto config = config::load_config_text(text);
  REQUIRE(config.ok());
  Generation made{std::move(config.value()), {}};
  auto certificates = load_certificates(made.config);
  REQUIRE(certificates.ok());
  made.certificates = std::move(certificates.value());
  return made;
}

std::string route(const std::string& name, const std::string& port, const std::string& more = "") {
  return "[[route]]\nname = \"" + name + "\"\nlisten = \"127.0.0.1:" + port +
         "\"\nserver = \"example.net:7000\"\n" + more;
}

std::string tunnel(const std::string& name, const std::string& far) {
  return "[[tunnel]]\nname = \"" + name + "\"\nfar = \"" + far + "\"\ntls = \"off\"\n";
}

}  // namespace

TEST_CASE("a listener stays where its address and its kind stay") {
  const std::vector now{place("one", "127.0.0.1:1"), place("two", "[::1]:2", true)};
  CHECK(taken(now, now) == std::vector{0, 1});
  CHECK(taken(now, {place("two", "[::1]:2", true), place("one", "127.0.0.1:1")}) ==
        std::vector{1, 0});
  CHECK(taken(now, {place("renamed", "127.0.0.1:1")}) == std::vector{0});
  CHECK(taken(now, {place("one", "127.0.0.1:3"), place("two", "[::1]:2")}) == std::vector{-1, -1});
}

TEST_CASE("of port 0 the name decides which listener stays") {
  const std::vector now{place("one", "127.0.0.1:0"), place("two", "127.0.0.1:0")};
  CHECK(taken(now, {place("two", "127.0.0.1:0"), place("three", "127.0.0.1:0")}) ==
        std::vector{1, -1});
  CHECK(taken(now, {place("one", "127.0.0.2:0")}) == std::vector{-1});
}

TEST_CASE("two that swap their addresses swap their listeners") {
  const std::vector now{place("one", "127.0.0.1:1"), place("two", "127.0.0.1:2")};
  CHECK(taken(now, {place("one", "127.0.0.1:2"), place("two", "127.0.0.1:1")}) ==
        std::vector{1, 0});
}

TEST_CASE("a socket of systemd's stays with its name, whatever host stands in listen") {
  const std::vector now{place("one", "127.0.0.1:1", false, true)};
  CHECK(taken(now, {place("one", "0.0.0.0:1")}) == std::vector{0});
  CHECK(taken(now, {place("one", "0.0.0.0:2")}) == std::vector{-1});
}

TEST_CASE("a new listener is bound beside one of ours that its address overlaps with") {
  const std::vector now{place("one", "127.0.0.1:1")};
  CHECK(plan_listening(now, {place("one", "0.0.0.0:1")})[0].beside_ours);
  CHECK(plan_listening(now, {place("one", "127.0.0.1:1", true)})[0].beside_ours);
  CHECK_FALSE(plan_listening(now, {place("one", "127.0.0.1:2")})[0].beside_ours);
}

TEST_CASE("what lasts as long as the process keeps its value, and is told") {
  const config::Config running = generation("[limits]\nworkers = 2\n" + route("one", "1")).config;
  config::Config same = running;
  CHECK(keep_unreloadable_settings(running, same).empty());
  config::Config next =
      generation(
          "user = \"root\"\n[log]\nformat = \"json\"\nlevel = \"error\"\n[limits]\n"
          "workers = 3\nsessions = 5\ndrain = \"1s\"\nbuffer_per_flow = "
          "\"1MiB\"\nsplice = \"never\"\n" +
          route("one", "1"))
          .config;
  CHECK(keep_unreloadable_settings(running, next) ==
        std::vector<std::string_view>{"user", "log.format", "limits.workers",
                                      "limits.buffer_per_flow", "limits.splice"});
  CHECK_FALSE(next.user.has_value());
  CHECK(next.limits.workers == 2);
  CHECK(next.limits.sessions == 5);
  CHECK(next.log.level == base::log::Level::error);
}

TEST_CASE("the difference of two generations is told by names") {
  const auto two = generation(route("one", "1") + route("two", "2"));
  CHECK(difference(two, two) == Difference{});
  CHECK(difference(two, generation(route("two", "2") + route("one", "1"))) == Difference{});
  CHECK(difference(two, generation(route("one", "1"))) == Difference{.removed = 1});
  CHECK(difference(two, generation(route("one", "1", "crosses = \"none\"\n") + route("two", "2") +
                                   route("three", "3"))) == Difference{.added = 1, .changed = 1});
}

TEST_CASE("a route whose tunnel has another number is the same route") {
  const std::string uses = route("one", "1", "tunnel = \"dc\"\n");
  const auto before = generation(uses + tunnel("dc", "127.0.0.1:9"));
  const auto after = generation(uses + tunnel("new", "127.0.0.1:8") + tunnel("dc", "127.0.0.1:9"));
  CHECK(difference(before, after) == Difference{.added = 1});
  CHECK(same_tunnel(before, after, 1) == 0);
  CHECK_FALSE(same_tunnel(before, generation(uses + tunnel("dc", "127.0.0.1:8")), 0));
}

TEST_CASE("a generation knows its own routes") {
  const auto one = generation(route("one", "1"));
  const auto same = generation(route("one", "1"));
  CHECK(owns(one, one.config.routes[0]));
  CHECK_FALSE(owns(one, same.config.routes[0]));
}

}  // namespace finhold::server
