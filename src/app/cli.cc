#include "app/cli.h"

#include "app/cli_command_line.h"
#include "config/file.h"
#include "config/messages.h"

namespace finhold::app {

CommandLine::CommandLine(std::ostream& out, std::ostream& err) : out_(out), err_(err) {
  app_.get_formatter()->column_width(38);
  app_.set_help_flag("-h,--help", "show this help");
  app_.set_version_flag("--version", "finhold " FINHOLD_VERSION, "show the version");
  app_.footer("Example:\n  finhold run --listen 127.0.0.1:7000 --server orders.example.net:7000");
  app_.allow_extras();  // the parser would only call them unexpected; bad_words() knows more
  add_run();
  add_check();
  add_rules();
  add_status();
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
  if (given.size() > 1) return refuse(config::listed(given, "and") + " exclude each other");
  if (run_->parsed()) return run();
  if (check_->parsed()) return check();
  if (rules_->parsed()) return rules();
  if (status_->parsed()) return status();
  return refuse("say what to do, as in finhold run; finhold --help lists what it can");
}

std::optional<config::Config> CommandLine::load() {
  auto loaded = config::load_config_file(config_path_);
  if (loaded.ok()) return std::move(loaded.value());
  err_ << config::report(config_path_, loaded.error());
  return std::nullopt;
}

Command CommandLine::no_rules_needed() {
  return refuse(config::printable(config_path_) +
                " needs no rules; write intercept and catch in each route that is to have some");
}

Command parse_command_line(int argc, const char* const* argv, std::ostream& out,
                           std::ostream& err) {
  return CommandLine(out, err).parse(argc, argv);
}

}  // namespace finhold::app
