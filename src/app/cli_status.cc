// finhold status: whom to ask. show_status.h asks.
#include <string>

#include "app/cli_command_line.h"
#include "base/address.h"
#include "config/messages.h"

namespace finhold::app {
namespace {

// The port at which OpenTelemetry's exporters wait for Prometheus, too.
const std::string default_admin = "127.0.0.1:9464";

// Which address to call: what listens at every address of a machine is called at its loopback.
base::Address reached_at(const base::Address& address) {
  if (!address.is_any()) return address;
  const std::string host = address.unmapped().family() == AF_INET ? "127.0.0.1:" : "[::1]:";
  return base::Address::parse(host + std::to_string(address.port())).value();
}

}  // namespace

void CommandLine::add_status() {
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
      return refuse(config::printable(config_path_) +
                    " has no [admin] with listen, so nobody can ask; add " +
                    "[admin] and listen = " + config::in_quotes(default_admin));
    }
    command.status.admin = reached_at(*config->admin.listen);
    return command;
  }
  const auto address = base::Address::parse(admin_.empty() ? default_admin : admin_);
  if (!address.ok()) return refuse("--admin: " + address.error().text);
  command.status.admin = reached_at(address.value());
  return command;
}

}  // namespace finhold::app
