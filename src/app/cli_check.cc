// finhold check: every mistake in a file, and in the certificates that it names.
#include <string>
#include <vector>

#include "app/cli_command_line.h"
#include "config/file.h"
#include "config/messages.h"
#include "server/certificates.h"

namespace finhold::app {
namespace {

// "1 route", "2 routes".
std::string counted(std::size_t count, const std::string& noun) {
  return std::to_string(count) + " " + noun + (count == 1 ? "" : "s");
}

}  // namespace

void CommandLine::add_check() {
  check_ = app_.add_subcommand("check", "tell every mistake in a configuration file");
  check_->allow_extras();
  check_->add_option("--config", config_path_, "configuration file")->type_name("FILE");
  check_->footer(
      "The exit code is 0 for a good file, 2 for one with mistakes.\n\n"
      "Example:\n  finhold check --config /etc/finhold.toml");
}

Command CommandLine::check() {
  if (check_->count("--config") == 0) return refuse("check needs a file: --config FILE");
  const auto config = load();
  if (!config) return {.exit_code = bad_usage};
  const auto certificates = server::load_certificates(*config);
  if (!certificates.ok()) {
    config::Problems problems;
    for (const server::EndRemark& mistake : certificates.error()) {
      problems.push_back({mistake.place.line, mistake.place.column, "tls: " + mistake.what});
    }
    err_ << config::report(config_path_, problems);
    return {.exit_code = bad_usage};
  }
  for (const server::EndRemark& warning :
       server::warnings_about_pairs(*config, certificates.value())) {
    err_ << config::printable(config_path_) << ":" << warning.place.line << ":"
         << warning.place.column << ": warning: " << warning.what << "\n";
  }
  std::vector<std::string> parts;
  if (!config->routes.empty()) parts.push_back(counted(config->routes.size(), "route"));
  if (!config->tunnels.empty()) parts.push_back(counted(config->tunnels.size(), "tunnel"));
  if (!config->fars.empty()) parts.push_back(counted(config->fars.size(), "far end"));
  out_ << config::printable(config_path_) << ": ok, " << config::listed(parts, "and") << "\n";
  return {};
}

}  // namespace finhold::app
