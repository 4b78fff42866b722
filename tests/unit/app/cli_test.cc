// The command line: what it asks for, and the exact words about a wrong one.
#include "app/cli.h"

#include <filesystem>
#include <sstream>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "config/keys.h"
#include "unit/tls/certificates.h"

using finhold::app::Command;

namespace {

struct Outcome {
  Command command;
  std::string out;
  std::string err;
};

Outcome parse(std::vector<const char*> words) {
  words.insert(words.begin(), "finhold");
  std::ostringstream out;
  std::ostringstream err;
  Command command =
      finhold::app::parse_command_line(static_cast<int>(words.size()), words.data(), out, err);
  return {std::move(command), out.str(), err.str()};
}

// The words about a wrong command line.
std::string refused(const std::vector<const char*>& words) {
  const Outcome outcome = parse(words);
  CHECK(outcome.command.kind == Command::Kind::done);
  CHECK(outcome.command.exit_code == 2);
  CHECK(outcome.out.empty());
  return outcome.err;
}

// One route from flags, with more flags behind.
Outcome run_with(const std::vector<const char*>& more) {
  std::vector<const char*> words{"run", "--listen", "127.0.0.1:7000", "--server", "db:5432"};
  words.insert(words.end(), more.begin(), more.end());
  return parse(words);
}

constexpr const char* sample = FINHOLD_SOURCE_DIR "/conf/finhold.toml";

}  // namespace

TEST_CASE("run takes one route from flags and names it main") {
  const Outcome outcome = run_with({});
  CHECK(outcome.err.empty());
  CHECK(outcome.out.empty());
  REQUIRE(outcome.command.kind == Command::Kind::run);
  CHECK(outcome.command.config_path.empty());
  REQUIRE(outcome.command.config.routes.size() == 1);
  const auto& route = outcome.command.config.routes[0];
  CHECK(route.name == "main");
  CHECK(route.listen.text() == "127.0.0.1:7000");
  CHECK(route.server.text() == "db:5432");
  CHECK(route.fin.crosses == finhold::core::Crosses::server);
  CHECK(route.fin.release_when_quiet[0] == std::chrono::seconds(5));
  CHECK(route.fin.release_when_quiet[1] == std::chrono::seconds(0));
}

TEST_CASE("every flag of run arrives in the config") {
  const Outcome outcome = run_with({"--crosses=both", "--release-when-quiet", "never", "--workers",
                                    "3", "--log-level", "debug", "--log-format", "json"});
  REQUIRE(outcome.command.kind == Command::Kind::run);
  const auto& config = outcome.command.config;
  CHECK(config.routes[0].fin.crosses == finhold::core::Crosses::both);
  for (const auto& quiet : config.routes[0].fin.release_when_quiet) CHECK_FALSE(quiet.has_value());
  CHECK(config.limits.workers == 3);
  CHECK(config.log.level == finhold::base::log::Level::debug);
  CHECK(config.log.format == finhold::base::log::Format::json);
  CHECK(run_with({"--workers", "auto"}).command.config.limits.workers == 0);
}

TEST_CASE("--release-when-quiet takes one duration, or one for each way") {
  const auto quiet = [](const char* value) {
    const Outcome outcome = run_with({"--release-when-quiet", value});
    REQUIRE(outcome.command.kind == Command::Kind::run);
    return outcome.command.config.routes[0].fin.release_when_quiet;
  };
  const auto learns = [](const char* value) {
    return run_with({"--release-when-quiet", value}).command.config.routes[0].fin.learns_quiet;
  };
  CHECK(learns("auto") == std::array{true, true});
  CHECK(learns("7s") == std::array{false, false});
  CHECK(learns("to_client=auto") == std::array{true, true});
  CHECK(learns("to_server=5s") == std::array{false, false});
  using Limits = std::array<finhold::base::Limit, 2>;
  using std::chrono::seconds;
  CHECK(quiet("7s") == Limits{seconds(7), seconds(7)});
  CHECK(quiet("to_server=7s,to_client=never") == Limits{seconds(7), {}});
  CHECK(quiet("to_client=1s,to_server=0s") == Limits{seconds(0), seconds(1)});
  CHECK(quiet("to_server=1s")[0] == seconds(1));

  const auto refused_value = [](const std::string& value) {
    return refused({"run", "--listen", "127.0.0.1:7000", "--server", "db:1", "--release-when-quiet",
                    value.c_str()});
  };
  const std::string cure = " is not known here; write to_server=auto,to_client=0s\n";
  CHECK(refused_value("server=1s") == "finhold: --release-when-quiet: \"server=1s\"" + cure);
  CHECK(refused_value("to_server=1s,,to_client=1s") ==
        "finhold: --release-when-quiet: \"\"" + cure);
  CHECK(refused_value("to_server=") ==
        "finhold: --release-when-quiet: \"\" is not a duration; write whole numbers with units h, "
        "m, s or ms, such as \"5s\", \"2h4m\" or \"250ms\", or \"never\"\n");
}

TEST_CASE("run takes its routes from a file, and the other flags win over it") {
  const Outcome outcome =
      parse({"run", "--config", sample, "--log-level", "error", "--workers", "2"});
  CHECK(outcome.err.empty());
  REQUIRE(outcome.command.kind == Command::Kind::run);
  CHECK(outcome.command.config_path == sample);
  REQUIRE(outcome.command.config.routes.size() == 1);
  CHECK(outcome.command.config.routes[0].name == "orders");
  CHECK(outcome.command.config.log.level == finhold::base::log::Level::error);
  CHECK(outcome.command.config.limits.workers == 2);
}

TEST_CASE("check says ok, and counts the routes") {
  const Outcome outcome = parse({"check", "--config", sample});
  CHECK(outcome.command.kind == Command::Kind::done);
  CHECK(outcome.command.exit_code == 0);
  CHECK(outcome.out == std::string(sample) + ": ok, 1 route\n");
  CHECK(outcome.err.empty());
}

TEST_CASE("check reads the certificates too, and names those that are wrong") {
  finhold::test::Authority authority("ca");
  const auto files = authority.issue();
  const auto text_with = [](const std::string& ca, const std::string& certificate,
                            const std::string& key) {
    return "[[far]]\nlisten = \"127.0.0.1:1\"\nallow = [\"10.0.0.5:1\"]\ntls = { certificate = \"" +
           certificate + "\", key = \"" + key + "\", client_ca = \"" + ca + "\" }\n" +
           "[[tunnel]]\nname = \"dc\"\nfar = \"localhost:1\"\ntls = { ca = \"" + ca + "\" }\n" +
           "[[route]]\nname = \"a\"\nlisten = \"127.0.0.1:2\"\nserver = \"h:1\"\ntunnel = \"dc\"\n";
  };
  const auto good =
      authority.file("good.toml", text_with(authority.certificate(), files.certificate, files.key));
  const Outcome outcome = parse({"check", "--config", good.c_str()});
  CHECK(outcome.command.exit_code == 0);
  CHECK(outcome.out == good + ": ok, 1 route, 1 tunnel and 1 far end\n");
  CHECK(outcome.err.empty());

  const auto bad = authority.file("bad.toml", text_with("/nonexistent", "/no.pem", "/no.key"));
  CHECK(refused({"check", "--config", bad.c_str()}) ==
        bad + ":4:7: tls: certificate \"/no.pem\" cannot be read: No such file or directory\n" +
            bad + ":4:7: tls: key \"/no.key\" cannot be read: No such file or directory\n" + bad +
            ":4:7: tls: client_ca \"/nonexistent\" cannot be read: No such file or directory\n" +
            bad + ":8:7: tls: ca \"/nonexistent\" cannot be read: No such file or directory\n" +
            bad + ": 4 problems\n");
}

TEST_CASE("check warns of what works, and will surprise") {
  finhold::test::Authority authority("ca");
  const auto old = authority.issue({.valid_from = -3, .valid_until = -1});
  const std::string tunnel = "[[tunnel]]\ntls = \"off\"\n";
  const auto path = authority.file(
      "c.toml", tunnel + "name = \"a\"\nfar = \"h:1\"\ntoken = \"secret\"\n" + tunnel +
                    "name = \"b\"\nfar = \"127.0.0.9:1\"\n" +
                    "[[far]]\nlisten = \"0.0.0.0:1\"\nallow = [\"10.0.0.5:1\"]\ntls = \"off\"\n" +
                    "[[far]]\nname = \"g\"\nlisten = \"[::1]:2\"\nallow = [\"10.0.0.5:1\"]\n" +
                    "tls = { certificate = \"" + old.certificate + "\", key = \"" + old.key +
                    "\" }\n[[route]]\nname = \"r\"\nlisten = \"127.0.0.1:3\"\nserver = \"h:1\"\n" +
                    "tunnel = \"a\"\n");
  std::filesystem::permissions(path, std::filesystem::perms(0644));
  const Outcome outcome = parse({"check", "--config", path.c_str()});
  CHECK(outcome.command.exit_code == 0);
  CHECK(outcome.out == path + ": ok, 1 route, 2 tunnels and 2 far ends\n");
  const std::string clear =
      "tls = \"off\": what passes is in clear, for everybody on the way to read and to change\n";
  const auto at = [&path](const std::string& place) { return path + ":" + place + ": warning: "; };
  const std::string expected =
      at("2:7") + clear + at("2:7") +
      "tls = \"off\": the token is in clear, for everybody on the way to read and to use\n" +
      at("5:9") +
      "token: it has 6 characters, so it might be guessed; \"openssl rand -hex 32\" makes one that "
      "cannot be\n" +
      at("5:9") +
      "token: the file has mode 0644, so others than its owner can read it; \"chmod 600\" it, or, "
      "owned by root and by the group that finhold runs as, \"chmod 640\"\n" +
      at("7:7") + "no route uses this tunnel; write tunnel = \"b\" in one\n" + at("13:7") + clear +
      at("13:7") +
      "whoever reaches it may open what allow lists; add client_ca to its tls, or a token\n";
  CHECK(outcome.err.starts_with(expected + at("18:7") + "certificate \"" + old.certificate));
  CHECK(outcome.err.find("secret") == std::string::npos);
}

TEST_CASE("run and check tell the problems of a file in the same words") {
  const std::string words =
      "/nonexistent: cannot be opened: No such file or directory; check the path and its "
      "permissions\n"
      "/nonexistent: 1 problem\n";
  CHECK(refused({"check", "--config", "/nonexistent"}) == words);
  CHECK(refused({"run", "--config", "/nonexistent"}) == words);
}

TEST_CASE("wrong values of flags are all told, each with what is allowed") {
  CHECK(refused({"run", "--listen", "127.0.0.1:70000", "--server", "db", "--crosses", "sever",
                 "--release-when-quiet", "5", "--workers", "0", "--log-level", "warn"}) ==
        "finhold: --listen: \"127.0.0.1:70000\": \"70000\" is not a port; a port is a number from "
        "0 to 65535\n"
        "finhold: --server: \"db\" is not a host and a port; write it as \"example.net:7000\", "
        "\"10.0.0.5:7000\" or \"[2001:db8::5]:7000\"\n"
        "finhold: --crosses: \"sever\" is not known here; write \"none\", \"client\", \"server\" "
        "or \"both\"\n"
        "finhold: --release-when-quiet: \"5\" is not a duration; write whole numbers with units h, "
        "m, s or ms, such as \"5s\", \"2h4m\" or \"250ms\", or \"never\"\n"
        "finhold: --workers: 0 is too small; write a whole number from 1 to 256, or \"auto\"\n"
        "finhold: --log-level: \"warn\" is not known here; write \"debug\", \"info\", \"warning\" "
        "or \"error\"\n");
  CHECK(refused({"run", "--config", sample, "--log-format", "xml"}) ==
        "finhold: --log-format: \"xml\" is not known here; write \"text\" or \"json\"\n");
}

TEST_CASE("a route from flags that leads back to itself is refused") {
  CHECK(refused({"run", "--listen", "[::]:7000", "--server", "127.0.0.1:7000"}) ==
        "finhold: --server: \"127.0.0.1:7000\" leads back to this route's own listen address "
        "\"[::]:7000\"; write where the server is, or another port\n");
}

TEST_CASE("run needs a file or one route, and not both") {
  CHECK(refused({"run"}) ==
        "finhold: run needs to know what to relay, and where to:\n"
        "  finhold run --config FILE\n"
        "  finhold run --listen ADDRESS:PORT --server HOST:PORT\n");
  CHECK(refused({"run", "--crosses", "none"}) == refused({"run"}));
  CHECK(refused({"run", "--listen", "127.0.0.1:1"}) ==
        "finhold: --listen needs --server HOST:PORT beside it\n");
  CHECK(refused({"run", "--server", "db:1"}) ==
        "finhold: --server needs --listen ADDRESS:PORT beside it\n");
  CHECK(refused({"run", "--config", sample, "--listen", "127.0.0.1:1", "--server", "db:1"}) ==
        "finhold: --config and --listen exclude each other; with --config, routes are described "
        "in the file\n");
  CHECK(refused({"run", "--config", sample, "--release-when-quiet", "0s"}) ==
        "finhold: --config and --release-when-quiet exclude each other; with --config, routes are "
        "described in the file\n");
}

TEST_CASE("status asks where it is told to, and at loopback by itself") {
  const auto asked = [](const std::vector<const char*>& words) {
    const Outcome outcome = parse(words);
    REQUIRE(outcome.command.kind == Command::Kind::status);
    return outcome.command.status;
  };
  CHECK(asked({"status"}).admin.text() == "127.0.0.1:9464");
  CHECK_FALSE(asked({"status"}).watch);
  CHECK(asked({"status", "--watch", "--json"}).watch);
  CHECK(asked({"status", "--watch", "--json"}).json);
  CHECK(asked({"status", "--admin", "10.0.0.5:80"}).admin.text() == "10.0.0.5:80");
  // Where something listens that listens everywhere.
  CHECK(asked({"status", "--admin", "0.0.0.0:80"}).admin.text() == "127.0.0.1:80");
  CHECK(asked({"status", "--admin", "[::]:80"}).admin.text() == "[::1]:80");

  CHECK(refused({"status", "--admin", "9464"}) ==
        "finhold: --admin: \"9464\" is not an address and a port; write it as "
        "\"127.0.0.1:7000\" or \"[::1]:7000\"\n");
  CHECK(refused({"status", "--config", sample})
            .ends_with(" has no [admin] with listen, so nobody can ask; add [admin] and listen = "
                       "\"127.0.0.1:9464\"\n"));
  CHECK(refused({"status", "--admin", "127.0.0.1:1", "--config", sample}) ==
        "finhold: --admin and --config exclude each other; the file says where [admin] listens\n");
  CHECK(refused({"status", "--wach"}) ==
        "finhold: unknown flag \"--wach\"; did you mean \"--watch\"?\n");
}

TEST_CASE("an unknown command gets the nearest, or the list") {
  CHECK(refused({"rnu"}) == "finhold: unknown command \"rnu\"; did you mean \"run\"?\n");
  CHECK(refused({"Check"}) == "finhold: unknown command \"Check\"; did you mean \"check\"?\n");
  CHECK(
      refused({"start"}) ==
      "finhold: unknown command \"start\"; the known commands are run, check, rules and status\n");
  CHECK(refused({}) ==
        "finhold: say what to do, as in finhold run; finhold --help lists what it can\n");
  CHECK(refused({"run", "check"}) == "finhold: run and check exclude each other\n");
}

TEST_CASE("an unknown flag gets the nearest, its right place, or the way to the list") {
  CHECK(refused({"run", "--lisen", "127.0.0.1:1"}) ==
        "finhold: unknown flag \"--lisen\"; did you mean \"--listen\"?\n");
  CHECK(refused({"run", "--log_level=debug"}) ==
        "finhold: unknown flag \"--log_level\"; did you mean \"--log-level\"?\n");
  CHECK(refused({"run", "--apply"}) ==
        "finhold: unknown flag \"--apply\"; did you mean \"--apply-rules\"?\n");
  CHECK(refused({"run", "-p", "7000"}) ==
        "finhold: unknown flag \"-p\"; finhold run --help lists the known ones\n");
  CHECK(refused({"check", "--listen", "127.0.0.1:1"}) ==
        "finhold: --listen is a flag of finhold run\n");
  CHECK(refused({"--listen", "127.0.0.1:1"}) ==
        "finhold: --listen needs a command before it; write finhold run --listen\n");
  CHECK(refused({"--listen", "127.0.0.1:1", "run"}) ==
        "finhold: --listen stands behind the command; write finhold run --listen\n");
  CHECK(refused({"run", "--version"}) ==
        "finhold: --version needs no command before it; write finhold --version\n");
  CHECK(refused({"--verison"}) ==
        "finhold: unknown flag \"--verison\"; did you mean \"--version\"?\n");
}

TEST_CASE("a path without its flag is told to take --config") {
  CHECK(refused({"check", "conf/finhold.toml"}) ==
        "finhold: check takes flags only, not \"conf/finhold.toml\"; write --config "
        "conf/finhold.toml\n");
  CHECK(refused({"check"}) == "finhold: check needs a file: --config FILE\n");
  CHECK(refused({"run", "now"}) ==
        "finhold: run takes flags only, not \"now\"; finhold run --help lists them\n");
}

TEST_CASE("a flag has its value once, and nothing that looks like a flag") {
  CHECK(refused({"run", "--listen"}) == "finhold: --listen needs a value behind it\n");
  CHECK(refused({"run", "--listen="}) == "finhold: --listen needs a value behind it\n");
  CHECK(refused({"run", "--listen", ""}) == "finhold: --listen needs a value behind it\n");
  CHECK(refused({"run", "--listen", "--workers", "3"}) ==
        "finhold: --listen needs a value behind it\n");
  CHECK(refused({"run", "--listen", "a", "--listen", "b"}) ==
        "finhold: --listen is given more than once; keep one\n");
}

TEST_CASE("what is shown cannot paint the terminal") {
  CHECK(refused({"\x1b[31mred"}) ==
        "finhold: unknown command \"\\u001B[31mred\"; the known commands are run, check, rules and "
        "status\n");
  CHECK(refused({"run", "--listen", "\x1b[31mred", "--server", "db:1"}) ==
        "finhold: --listen: \"\\u001B[31mred\": \"\\u001B[31mred\" is not an address and a port; "
        "write it as \"127.0.0.1:7000\" or \"[::1]:7000\"\n");
}

TEST_CASE("the version is one line") {
  const Outcome outcome = parse({"--version"});
  CHECK(outcome.command.kind == Command::Kind::done);
  CHECK(outcome.command.exit_code == 0);
  CHECK(outcome.out == "finhold " FINHOLD_VERSION "\n");
}

TEST_CASE("help on every level has an example and goes to standard output") {
  for (const std::vector<const char*>& words : {std::vector<const char*>{"--help"},
                                                {"-h"},
                                                {"run", "--help"},
                                                {"check", "--help"},
                                                {"rules", "--help"}}) {
    const Outcome outcome = parse(words);
    CHECK(outcome.command.kind == Command::Kind::done);
    CHECK(outcome.command.exit_code == 0);
    CHECK(outcome.err.empty());
    CHECK(outcome.out.find("Example") != std::string::npos);
    std::istringstream lines(outcome.out);
    for (std::string line; std::getline(lines, line);) CHECK_MESSAGE(line.size() <= 100, line);
  }
  CHECK(parse({"run", "--help"}).out.find("file") != std::string::npos);
}

TEST_CASE("the help of run shows every flag with its default") {
  const std::string help = parse({"run", "--help"}).out;
  for (const char* words :
       {"--config FILE", "--listen ADDRESS:PORT", "--server HOST:PORT", "--crosses LEG", "[server]",
        "--release-when-quiet DURATION", "[to_server=auto,to_client=0s]", "--workers N", "[auto]",
        "--log-level LEVEL", "[info]", "--log-format FORMAT", "[text]"}) {
    CHECK_MESSAGE(help.find(words) != std::string::npos, words);
  }
}

TEST_CASE("rules prints a script, and says so if there is nothing to print") {
  const Outcome loads =
      parse({"rules", "--config", FINHOLD_SOURCE_DIR "/tests/unit/rules/sidecar.toml"});
  CHECK(loads.err.empty());
  CHECK(loads.command.exit_code == 0);
  CHECK(loads.out.starts_with("#!/bin/sh\n# Made by: finhold rules --config "));
  CHECK(loads.out.find("redirect to :15001") != std::string::npos);
  const Outcome removes =
      parse({"rules", "--remove", "--config", FINHOLD_SOURCE_DIR "/tests/unit/rules/sidecar.toml"});
  CHECK(removes.err.empty());
  CHECK(removes.out.find("/sidecar.toml --remove\n") != std::string::npos);
  CHECK(removes.out.find("redirect") == std::string::npos);
  CHECK(refused({"rules"}) == "finhold: rules needs a file: --config FILE\n");
  CHECK(refused({"rules", "--config", sample}) ==
        "finhold: " + std::string(sample) +
            " needs no rules; write intercept and catch in each route that is to have some\n");
  CHECK(refused({"rule"}) == "finhold: unknown command \"rule\"; did you mean \"rules\"?\n");
  // After a crash, whatever is the matter with the file by then.
  const Outcome without = parse({"rules", "--remove"});
  CHECK(without.command.exit_code == 0);
  CHECK(without.out.find("delete table inet finhold\n") != std::string::npos);
  CHECK(refused({"run", "--remove"}) == "finhold: --remove is a flag of finhold rules\n");
  CHECK(refused({"rules", "check"}) == "finhold: check and rules exclude each other\n");
}

TEST_CASE("run loads rules if the file has any") {
  const Outcome outcome = parse(
      {"run", "--apply-rules", "--config", FINHOLD_SOURCE_DIR "/tests/unit/rules/sidecar.toml"});
  REQUIRE(outcome.command.kind == Command::Kind::run);
  CHECK(outcome.command.apply_rules);
  CHECK_FALSE(run_with({}).command.apply_rules);
  CHECK(refused({"run", "--apply-rules", "--config", sample})
            .ends_with(" needs no rules; write intercept and catch in each route that is to have "
                       "some\n"));
  CHECK(refused({"run", "--apply-rules", "--listen", "127.0.0.1:1", "--server", "db:1"}) ==
        "finhold: --apply-rules needs --config FILE: only routes of a file can intercept\n");
  CHECK(refused({"rules", "--apply-rules"}) == "finhold: --apply-rules is a flag of finhold run\n");
}
