#include <exception>
#include <fcntl.h>
#include <iostream>
#include <unistd.h>

#include "app/cli.h"
#include "app/last_words.h"
#include "app/server.h"

namespace {

// Started with a standard stream closed, the next descriptors would take its number, and a log line
// be written into one of them.
void open_standard_streams() {
  int fd = open("/dev/null", O_RDWR);
  while (fd >= 0 && fd <= 2) fd = dup(fd);
  if (fd > 2) close(fd);
}

}  // namespace

int main(int argc, char** argv) {
  open_standard_streams();
  finhold::app::prepare_last_words();
  try {
    const finhold::app::Command command =
        finhold::app::parse_command_line(argc, argv, std::cout, std::cerr);
    if (command.kind == finhold::app::Command::Kind::status) {
      return finhold::app::show_status(command.status, std::cout, std::cerr);
    }
    if (command.kind != finhold::app::Command::Kind::run) return command.exit_code;
    return finhold::app::serve(command.config, command.apply_rules, {argc, argv});
  } catch (const std::exception& failure) {
    // Out of memory at the start: nothing else throws here.
    std::cerr << "finhold: cannot start: " << failure.what() << '\n';
    return 1;
  }
}
