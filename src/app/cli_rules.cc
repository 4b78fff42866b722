// finhold rules: the commands that divert connections to finhold, for a shell.
#include <string>

#include "app/cli_command_line.h"
#include "config/interception_needs.h"
#include "config/messages.h"
#include "rules/nft_rules.h"

namespace finhold::app {

void CommandLine::add_rules() {
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
}

Command CommandLine::rules() {
  if (rules_->count("--config") == 0) {
    if (!remove_) return refuse("rules needs a file: --config FILE");
    // Also after a crash, whatever is the matter with the file by then.
    out_ << rules::as_script(rules::programs_that_remove(), "Made by: finhold rules --remove");
    return {};
  }
  const auto config = load();
  if (!config) return {.exit_code = bad_usage};
  const std::string written = "finhold rules --config " + config::printable(config_path_);
  if (remove_) {
    out_ << rules::as_script(rules::programs_that_remove(), "Made by: " + written + " --remove");
    return {};
  }
  if (!config::any_wants_rules(*config)) return no_rules_needed();
  out_ << rules::as_script(rules::programs_that_load(*config),
                           "Made by: " + written + "\n# Taken away by: the same with --remove");
  return {};
}

}  // namespace finhold::app
