// finhold run: its flags, of which most stand for keys of the file.
#include <algorithm>
#include <array>
#include <string>

#include "app/cli_command_line.h"
#include "config/interception_needs.h"
#include "config/listen_overlap.h"
#include "config/messages.h"
#include "config/value.h"

namespace finhold::app {

// A flag that stands for a key of the configuration file.
struct Flag {
  const char* name;
  const char* type;
  std::string_view table;
  std::string_view key;
  bool of_route;  // describes the one route that is given without a file
};

namespace {

constexpr const char* either_form =
    "  finhold run --config FILE\n"
    "  finhold run --listen ADDRESS:PORT --server HOST:PORT\n";

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
std::string one_line_of(const config::Table& table) {
  std::string text(table.example);
  const auto left_out = [](char c) { return c == '{' || c == '}' || c == '"' || c == ' '; };
  text.erase(std::remove_if(text.begin(), text.end(), left_out), text.end());
  return text;
}

std::string help_for(const Flag& flag) {
  const config::Key& key = *config::find_key(flag.table, flag.key);
  std::string text(key.meaning);
  if (key.kind == config::Kind::choice || key.kind == config::Kind::count_or_auto)
    text += " (" + allowed(key) + ")";
  if (key.kind == config::Kind::limit) text += "; or \"never\"";
  const config::Table* table = config::find_table(flag.table, flag.key);
  if (table != nullptr) text += "; or for each way";
  if (!key.required) {
    text += " [" + (table != nullptr ? one_line_of(*table) : std::string(key.example)) + "]";
  }
  text.erase(std::remove(text.begin(), text.end(), '"'), text.end());
  return wrapped(std::move(text));
}

}  // namespace

void CommandLine::add_run() {
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
}

Command CommandLine::run() {
  Command command{.kind = Command::Kind::run, .apply_rules = apply_rules_};
  config::Section section;
  relay::Route& route = section.route;
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
    if (!store_flags(command.config, section)) return {.exit_code = bad_usage};
    if (apply_rules_ && !config::any_wants_rules(command.config)) return no_rules_needed();
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
  if (!store_flags(command.config, section)) return {.exit_code = bad_usage};
  if (const auto mistake = route.server.zone_mistake()) {
    return refuse("--server: " + mistake->text);
  }
  if (const auto loop = config::loop_mistake(route.listen, route.server)) {
    return refuse("--server: " + loop->text);
  }
  command.config.routes.push_back(std::move(route));
  return command;
}

bool CommandLine::store_flags(config::Config& config, config::Section& section) {
  bool good = true;
  config::Target target{config, section};
  for (std::size_t i = 0; i < flags.size(); ++i) {
    if (!given(i)) continue;
    const Flag& flag = flags.at(i);
    const std::string& text = values_.at(i);
    const bool as_table =
        config::find_table(flag.table, flag.key) != nullptr && text.find('=') != std::string::npos;
    good &= as_table ? store_table_flag(flag, text, target)
                     : store_flag(flag, *config::find_key(flag.table, flag.key), text, target);
  }
  return good;
}

bool CommandLine::store_flag(const Flag& flag, const config::Key& key, std::string_view text,
                             config::Target& to) {
  const auto value = config::parse_value(key, text);
  if (value.ok()) {
    key.store(value.value(), to);
  } else {
    refuse(std::string(flag.name) + ": " + value.error().text);
  }
  return value.ok();
}

// What a file has as a table, { to_server = "5s", to_client = "0s" }, is to_server=5s,to_client=0s.
bool CommandLine::store_table_flag(const Flag& flag, std::string_view text, config::Target& to) {
  const config::Table& table = *config::find_table(flag.table, flag.key);
  while (!text.empty()) {
    const std::string_view one = text.substr(0, text.find(','));
    text.remove_prefix(std::min(one.size() + 1, text.size()));
    const std::string_view name = one.substr(0, one.find('='));
    const config::Key* key = config::find_key(table.path, name);
    if (key == nullptr || name.size() == one.size()) {
      refuse(std::string(flag.name) + ": " + config::in_quotes(one) + " is not known here; write " +
             one_line_of(table));
      return false;
    }
    if (!store_flag(flag, *key, one.substr(name.size() + 1), to)) return false;
  }
  return true;
}

}  // namespace finhold::app
