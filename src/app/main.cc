#include <exception>
#include <fcntl.h>
#include <iostream>
#include <sstream>
#include <string>
#include <unistd.h>
#include <utility>

#include "app/cli.h"
#include "server/fatal_error.h"
#include "server/server.h"

namespace {

// Started with a standard stream closed, the next descriptors would take its number, and a log line
// be written into one of them.
void open_standard_streams() {
  int fd = open("/dev/null", O_RDWR);
  while (fd >= 0 && fd <= 2) fd = dup(fd);
  if (fd > 2) close(fd);
}

// For SIGHUP.
finhold::server::NextConfig read_again(int argc, const char* const* argv) {
  std::ostringstream out;
  std::ostringstream err;
  finhold::app::Command command = finhold::app::parse_command_line(argc, argv, out, err);
  finhold::server::NextConfig next;
  next.path = command.config_path;
  if (command.kind == finhold::app::Command::Kind::run) {
    next.config = std::move(command.config);
    return next;
  }
  std::istringstream lines(err.str());
  for (std::string line; std::getline(lines, line);) next.mistakes.push_back(line);
  return next;
}

}  // namespace

int main(int argc, char** argv) {
  open_standard_streams();
  finhold::server::report_fatal_errors();
  try {
    const finhold::app::Command command =
        finhold::app::parse_command_line(argc, argv, std::cout, std::cerr);
    if (command.kind == finhold::app::Command::Kind::status) {
      return finhold::app::show_status(command.status, std::cout, std::cerr);
    }
    if (command.kind != finhold::app::Command::Kind::run) return command.exit_code;
    return finhold::server::serve(command.config, command.apply_rules,
                                  [&] { return read_again(argc, argv); });
  } catch (const std::exception& failure) {
    // Out of memory at the start: nothing else throws here.
    std::cerr << "finhold: cannot start: " << failure.what() << '\n';
    return 1;
  }
}
