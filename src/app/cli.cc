#include "app/cli.h"

#include <algorithm>
#include <array>
#include <optional>
#include <ostream>
#include <span>
#include <vector>

#include <CLI/CLI.hpp>

#include "app/certificates.h"
#include "app/config_file.h"
#include "app/config_keys.h"
#include "app/config_value.h"
#include "app/listen_overlap.h"
#include "app/nft_rules.h"
#include "app/wording.h"

namespace finhold::app {
namespace {

constexpr int bad_usage = 2;

// The port at which OpenTelemetry's exporters wait for Prometheus, too.
const std::string default_admin = "127.0.0.1:9464";

constexpr const char* either_form =
    "  finhold run --config FILE\n"
    "  finhold run --listen ADDRESS:PORT --server HOST:PORT\n";

// A flag that stands for a key of the configuration file.
struct Flag {
  const char* name;
  const char* type;
  std::string_view table;
  std::string_view key;
  bool of_route;  // describes the one route that is given without a file
};

constexpr std::array<Flag, 8> flags{{
    {"--listen", "ADDRESS:PORT", "route", "listen", true},
    {"--server", "HOST:PORT", "route", "server", true},
    {"--crosses", "LEG", "route", "crosses", true},
    {"--release-when-quiet", "DURATION", "route.fin", "release_when_quiet", true},
    {"--workers", "N", "limits", "workers", false},
    {"--splice", "MODE", "limits", "splice", false},
    {"--log-level", "LEVEL", "log", "level", false},
    {"--log-format", "FORMAT", "log", "format", false},
}};
constexpr std::size_t listen = 0;
constexpr std::size_t server = 1;

// Breaks a text into lines of a terminal beside the column of the flags.
std::string wrapped(std::string text) {
  constexpr std::size_t width = 60;
  std::size_t line = 0;
  while (text.size() - line > width) {
    const auto space = text.rfind(' ', line + width);
    if (space == std::string::npos || space <= line) break;
    text[space] = '\n';
    line = space + 1;
  }
  return text;
}

// As a flag takes a table: "to_server=5s,to_client=0s".
std::string one_line_of(const Table& table) {
  std::string text(table.example);
  const auto left_out = [](char c) { return c == '{' || c == '}' || c == '"' || c == ' '; };
  text.erase(std::remove_if(text.begin(), text.end(), left_out), text.end());
  return text;
}

std::string help_for(const Flag& flag) {
  const Key& key = *find_key(flag.table, flag.key);
  std::string text(key.meaning);
  if (key.kind == Kind::choice || key.kind == Kind::count_or_auto)
    text += " (" + allowed(key) + ")";
  if (key.kind == Kind::limit) text += "; or \"never\"";
  const Table* table = find_table(flag.table, flag.key);
  if (table != nullptr) text += "; or for each way";
  if (!key.required) {
    text += " [" + (table != nullptr ? one_line_of(*table) : std::string(key.example)) + "]";
  }
  text.erase(std::remove(text.begin(), text.end(), '"'), text.end());
  return wrapped(std::move(text));
}

std::string needs_value(const std::string& flag) { return flag + " needs a value behind it"; }

class CommandLine {
 public:
  CommandLine(std::ostream& out, std::ostream& err);
  Command parse(int argc, const char* const* argv);

 private:
  Command run();
  Command check();
  Command rules();
  Command status();
  Command no_rules_needed() {
    return refuse(printable(config_path_) +
                  " needs no rules; write intercept and catch in each route that is to have some");
  }
  Command bad_words(const std::vector<std::string>& words);
  Command bad_values(const std::string& said_by_parser);
  std::string about_flag(const CLI::App* behind, const std::string& name) const;

  // Reads the flags into the config and the route of the item; tells of those that are wrong.
  bool store_flags(Config& config, Item& item);
  bool store_flag(const Flag& flag, const Key& key, std::string_view text, Target& to);
  bool store_table_flag(const Flag& flag, std::string_view text, Target& to);
  std::optional<Config> load();

  [[nodiscard]] bool given(std::size_t flag) const { return options_.at(flag)->count() > 0; }

  // Ends it all: one line that begins with the name of the program.
  Command refuse(const std::string& what) {
    err_ << "finhold: " << what << "\n";
    return {.exit_code = bad_usage};
  }

  std::ostream& out_;
  std::ostream& err_;
  CLI::App app_{"A transparent TCP proxy that keeps half-close working through NATs and firewalls.",
                "finhold"};
  CLI::App* run_ = nullptr;
  CLI::App* check_ = nullptr;
  CLI::App* rules_ = nullptr;
  CLI::App* status_ = nullptr;
  std::array<CLI::App*, 4> commands_{};  // all of them
  bool remove_ = false;
  bool apply_rules_ = false;
  bool watch_ = false;
  bool json_ = false;
  std::string admin_;
  std::string config_path_;
  std::array<std::string, flags.size()> values_;
  std::array<CLI::Option*, flags.size()> options_{};
};

CommandLine::CommandLine(std::ostream& out, std::ostream& err) : out_(out), err_(err) {
  app_.get_formatter()->column_width(38);
  app_.set_help_flag("-h,--help", "show this help");
  app_.set_version_flag("--version", "finhold " FINHOLD_VERSION, "show the version");
  app_.footer("Example:\n  finhold run --listen 127.0.0.1:7000 --server orders.example.net:7000");
  app_.allow_extras();  // the parser would only call them unexpected; bad_words() knows more

  run_ = app_.add_subcommand("run", "relay connections, until told to stop by SIGTERM or SIGINT");
  run_->allow_extras();
  run_->add_option("--config", config_path_, "configuration file: routes, limits, log")
      ->type_name("FILE")
      ->group("Routes from a file");
  run_->add_flag(
          "--apply-rules", apply_rules_,
          "load what finhold rules would print, and remove\nit at the end (needs CAP_NET_ADMIN)")
      ->group("Routes from a file");
  for (std::size_t i = 0; i < flags.size(); ++i) {
    const Flag& flag = flags.at(i);
    options_.at(i) = run_->add_option(flag.name, values_.at(i), help_for(flag))
                         ->type_name(flag.type)
                         ->group(flag.of_route ? "Or one route, named main, without a file"
                                               : "With both (they win over the file)");
  }
  run_->footer(
      "Durations are written as 5s, 2h4m or 250ms.\n\n"
      "Examples:\n"
      "  finhold run --config /etc/finhold.toml\n"
      "  finhold run --listen 127.0.0.1:7000 --server orders.example.net:7000 --crosses server");

  check_ = app_.add_subcommand("check", "tell every mistake in a configuration file");
  check_->allow_extras();
  check_->add_option("--config", config_path_, "configuration file")->type_name("FILE");
  check_->footer(
      "The exit code is 0 for a good file, 2 for one with mistakes.\n\n"
      "Example:\n  finhold check --config /etc/finhold.toml");

  rules_ = app_.add_subcommand("rules", "print the commands that divert connections to finhold");
  rules_->allow_extras();
  rules_->add_option("--config", config_path_, "configuration file")->type_name("FILE");
  rules_->add_flag("--remove", remove_, "print those that take all of it away again");
  rules_->footer(
      "A script for a shell with CAP_NET_ADMIN: nft and ip commands for the routes of the file "
      "that\n"
      "have intercept and catch. It may be run again, and replaces what it has loaded before.\n"
      "finhold run --apply-rules does the same by itself.\n\n"
      "Examples:\n"
      "  finhold rules --config /etc/finhold.toml | sh\n"
      "  finhold rules --config /etc/finhold.toml --remove | sh");

  status_ = app_.add_subcommand("status", "show how a running finhold fares");
  status_->allow_extras();
  status_->add_option("--admin", admin_, "where its [admin] listens [" + default_admin + "]")
      ->type_name("ADDRESS:PORT");
  status_->add_option("--config", config_path_, "or its configuration file, which says where")
      ->type_name("FILE");
  status_->add_flag("--watch", watch_, "again every 2s, with rates");
  status_->add_flag("--json", json_, "for scripts: what /status.json says");
  status_->footer(
      "The exit code is 0 if finhold answers and is well, 1 if not: it serves as a health "
      "check.\n\n"
      "Example:\n  finhold status --watch");
  commands_ = {run_, check_, rules_, status_};
}

Command CommandLine::parse(int argc, const char* const* argv) {
  try {
    app_.parse(argc, argv);
  } catch (const CLI::Success& help_or_version) {
    return {.exit_code = app_.exit(help_or_version, out_, err_)};
  } catch (const CLI::ParseError& error) {
    return bad_values(error.what());
  }
  for (const CLI::App* command : commands_) {
    for (const CLI::Option* option : command->get_options()) {
      if (option->count() == 0 || option->get_expected_max() == 0) continue;
      const std::string& value = option->results().front();
      if (value.empty() || value.starts_with("--")) return refuse(needs_value(option->get_name()));
    }
  }
  const auto words = app_.remaining(true);
  if (!words.empty()) return bad_words(words);
  std::vector<std::string> given;
  for (const CLI::App* command : commands_) {
    if (command->parsed()) given.push_back(command->get_name());
  }
  if (given.size() > 1) return refuse(listed(given, "and") + " exclude each other");
  if (run_->parsed()) return run();
  if (check_->parsed()) return check();
  if (rules_->parsed()) return rules();
  if (status_->parsed()) return status();
  return refuse("say what to do, as in finhold run; finhold --help lists what it can");
}

Command CommandLine::run() {
  Command command{.kind = Command::Kind::run, .apply_rules = apply_rules_};
  Item item;
  relay::Route& route = item.route;
  route.name = "main";
  const auto* const route_flag = std::find_if(flags.begin(), flags.end(), [this](const Flag& flag) {
    return flag.of_route && given(static_cast<std::size_t>(&flag - flags.data()));
  });
  if (run_->count("--config") > 0) {
    if (route_flag != flags.end()) {
      return refuse(std::string("--config and ") + route_flag->name +
                    " exclude each other; with --config, routes are described in the file");
    }
    auto loaded = load();
    if (!loaded) return {.exit_code = bad_usage};
    command.config = *std::move(loaded);
    command.config_path = config_path_;
    if (!store_flags(command.config, item)) return {.exit_code = bad_usage};
    if (apply_rules_ && !any_wants_rules(command.config)) return no_rules_needed();
    return command;
  }

  if (apply_rules_) {
    return refuse("--apply-rules needs --config FILE: only routes of a file can intercept");
  }
  if (!given(listen) && !given(server)) {
    err_ << "finhold: run needs to know what to relay, and where to:\n" << either_form;
    return {.exit_code = bad_usage};
  }
  if (!given(server)) return refuse("--listen needs --server HOST:PORT beside it");
  if (!given(listen)) return refuse("--server needs --listen ADDRESS:PORT beside it");
  if (!store_flags(command.config, item)) return {.exit_code = bad_usage};
  if (const auto mistake = route.server.zone_mistake()) {
    return refuse("--server: " + mistake->text);
  }
  if (const auto loop = loop_mistake(route.listen, route.server)) {
    return refuse("--server: " + loop->text);
  }
  command.config.routes.push_back(std::move(route));
  return command;
}

// "1 route", "2 routes".
std::string counted(std::size_t count, const std::string& noun) {
  return std::to_string(count) + " " + noun + (count == 1 ? "" : "s");
}

Command CommandLine::check() {
  if (check_->count("--config") == 0) return refuse("check needs a file: --config FILE");
  const auto config = load();
  if (!config) return {.exit_code = bad_usage};
  const auto certificates = load_certificates(*config);
  if (!certificates.ok()) {
    Problems problems;
    for (const EndRemark& mistake : certificates.error()) {
      problems.push_back({mistake.place.line, mistake.place.column, "tls: " + mistake.what});
    }
    err_ << report(config_path_, problems);
    return {.exit_code = bad_usage};
  }
  for (const EndRemark& warning : warnings_about_pairs(*config, certificates.value())) {
    err_ << printable(config_path_) << ":" << warning.place.line << ":" << warning.place.column
         << ": warning: " << warning.what << "\n";
  }
  std::vector<std::string> parts;
  if (!config->routes.empty()) parts.push_back(counted(config->routes.size(), "route"));
  if (!config->tunnels.empty()) parts.push_back(counted(config->tunnels.size(), "tunnel"));
  if (!config->fars.empty()) parts.push_back(counted(config->fars.size(), "far end"));
  out_ << printable(config_path_) << ": ok, " << listed(parts, "and") << "\n";
  return {};
}

Command CommandLine::rules() {
  if (rules_->count("--config") == 0) {
    if (!remove_) return refuse("rules needs a file: --config FILE");
    // Also after a crash, whatever is the matter with the file by then.
    out_ << as_script(programs_that_remove(), "Made by: finhold rules --remove");
    return {};
  }
  const auto config = load();
  if (!config) return {.exit_code = bad_usage};
  const std::string written = "finhold rules --config " + printable(config_path_);
  if (remove_) {
    out_ << as_script(programs_that_remove(), "Made by: " + written + " --remove");
    return {};
  }
  if (!any_wants_rules(*config)) return no_rules_needed();
  out_ << as_script(programs_that_load(*config),
                    "Made by: " + written + "\n# Taken away by: the same with --remove");
  return {};
}

// Which address to call: what listens at every address of a machine is called at its loopback.
base::Address reached_at(const base::Address& address) {
  if (!address.is_any()) return address;
  const std::string host = address.unmapped().family() == AF_INET ? "127.0.0.1:" : "[::1]:";
  return base::Address::parse(host + std::to_string(address.port())).value();
}

Command CommandLine::status() {
  if (!admin_.empty() && !config_path_.empty()) {
    return refuse("--admin and --config exclude each other; the file says where [admin] listens");
  }
  Command command{.kind = Command::Kind::status};
  command.status.watch = watch_;
  command.status.json = json_;
  if (!config_path_.empty()) {
    const auto config = load();
    if (!config) return {.exit_code = bad_usage};
    if (!config->admin.listen) {
      return refuse(printable(config_path_) +
                    " has no [admin] with listen, so nobody can ask; add " +
                    "[admin] and listen = " + in_quotes(default_admin));
    }
    command.status.admin = reached_at(*config->admin.listen);
    return command;
  }
  const auto address = base::Address::parse(admin_.empty() ? default_admin : admin_);
  if (!address.ok()) return refuse("--admin: " + address.error().text);
  command.status.admin = reached_at(address.value());
  return command;
}

std::optional<Config> CommandLine::load() {
  auto loaded = load_config_file(config_path_);
  if (loaded.ok()) return std::move(loaded.value());
  err_ << report(config_path_, loaded.error());
  return std::nullopt;
}

bool CommandLine::store_flags(Config& config, Item& item) {
  bool good = true;
  Target target{config, item};
  for (std::size_t i = 0; i < flags.size(); ++i) {
    if (!given(i)) continue;
    const Flag& flag = flags.at(i);
    const std::string& text = values_.at(i);
    const bool as_table =
        find_table(flag.table, flag.key) != nullptr && text.find('=') != std::string::npos;
    good &= as_table ? store_table_flag(flag, text, target)
                     : store_flag(flag, *find_key(flag.table, flag.key), text, target);
  }
  return good;
}

bool CommandLine::store_flag(const Flag& flag, const Key& key, std::string_view text, Target& to) {
  const auto value = parse_value(key, text);
  if (value.ok()) {
    key.store(value.value(), to);
  } else {
    refuse(std::string(flag.name) + ": " + value.error().text);
  }
  return value.ok();
}

// What a file has as a table, { to_server = "5s", to_client = "0s" }, is to_server=5s,to_client=0s.
bool CommandLine::store_table_flag(const Flag& flag, std::string_view text, Target& to) {
  const Table& table = *find_table(flag.table, flag.key);
  while (!text.empty()) {
    const std::string_view one = text.substr(0, text.find(','));
    text.remove_prefix(std::min(one.size() + 1, text.size()));
    const std::string_view name = one.substr(0, one.find('='));
    const Key* key = find_key(table.path, name);
    if (key == nullptr || name.size() == one.size()) {
      refuse(std::string(flag.name) + ": " + in_quotes(one) + " is not known here; write " +
             one_line_of(table));
      return false;
    }
    if (!store_flag(flag, *key, one.substr(name.size() + 1), to)) return false;
  }
  return true;
}

// A flag without its value, or given twice: all that the parser refuses by itself. It says
// "--listen: 1 required ADDRESS:PORT missing".
Command CommandLine::bad_values(const std::string& said_by_parser) {
  const std::string name = said_by_parser.substr(0, said_by_parser.find(':'));
  const bool twice = said_by_parser.find("received") != std::string::npos;
  return refuse(twice ? name + " is given more than once; keep one" : needs_value(name));
}

// Words that no command or flag took; the first one tells what went wrong.
Command CommandLine::bad_words(const std::vector<std::string>& words) {
  const auto* const parsed = std::find_if(commands_.begin(), commands_.end(),
                                          [](const CLI::App* one) { return one->parsed(); });
  const CLI::App* command = parsed != commands_.end() ? *parsed : nullptr;
  const std::string& word = words.front();
  if (word.starts_with('-')) return refuse(about_flag(command, word.substr(0, word.find('='))));
  if (command == nullptr) {
    const auto nearest =
        nearest_name(word, std::array<std::string_view, 4>{"run", "check", "rules", "status"});
    return refuse("unknown command " + in_quotes(word) +
                  (nearest ? "; did you mean " + in_quotes(*nearest) + "?"
                           : "; the known commands are run, check, rules and status"));
  }
  const bool is_path = word.find('/') != std::string::npos || word.ends_with(".toml");
  return refuse(command->get_name() + " takes flags only, not " + in_quotes(word) + "; " +
                (is_path ? "write --config " + printable(word)
                         : "finhold " + command->get_name() + " --help lists them"));
}

// What is wrong with a flag that stands behind that command (null: behind none).
std::string CommandLine::about_flag(const CLI::App* behind, const std::string& name) const {
  const CLI::App* taker = nullptr;  // a command that knows the flag, that one first
  std::vector<const CLI::App*> takers{behind};
  takers.insert(takers.end(), commands_.begin(), commands_.end());
  for (const CLI::App* command : takers) {
    if (taker == nullptr && command != nullptr && command->get_option_no_throw(name) != nullptr) {
      taker = command;
    }
  }
  if (taker != nullptr) {
    const std::string written = "finhold " + taker->get_name();
    if (behind == nullptr) {
      return name + " needs a command before it; write " + written + " " + name;
    }
    if (behind == taker) return name + " stands behind the command; write " + written + " " + name;
    return name + " is a flag of " + written;
  }
  if (behind != nullptr && app_.get_option_no_throw(name) != nullptr) {
    return name + " needs no command before it; write finhold " + name;
  }
  const CLI::App* owner = behind != nullptr ? behind : &app_;
  std::vector<std::string> known;
  for (const CLI::Option* option : owner->get_options()) known.push_back(option->get_name());
  const std::vector<std::string_view> views(known.begin(), known.end());
  auto nearest = nearest_name(name, views);
  // The beginning of one flag, as --apply, is often too far from the whole of it for a slip.
  if (!nearest && name.size() > 3) {
    const auto begun = [&name](std::string_view flag) { return flag.starts_with(name); };
    if (std::count_if(views.begin(), views.end(), begun) == 1) {
      nearest = *std::find_if(views.begin(), views.end(), begun);
    }
  }
  if (nearest) {
    return "unknown flag " + in_quotes(name) + "; did you mean " + in_quotes(*nearest) + "?";
  }
  return "unknown flag " + in_quotes(name) + "; " +
         (behind != nullptr ? "finhold " + owner->get_name() : std::string("finhold")) +
         " --help lists the known ones";
}

}  // namespace

Command parse_command_line(int argc, const char* const* argv, std::ostream& out,
                           std::ostream& err) {
  return CommandLine(out, err).parse(argc, argv);
}

}  // namespace finhold::app
