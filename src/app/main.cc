#include <exception>
#include <iostream>

#include "app/cli.h"
#include "app/server.h"

int main(int argc, char** argv) {
  try {
    const finhold::app::Command command =
        finhold::app::parse_command_line(argc, argv, std::cout, std::cerr);
    if (command.kind != finhold::app::Command::Kind::run) return command.exit_code;
    return finhold::app::serve(command.config);
  } catch (const std::exception& failure) {
    // Out of memory, or no thread can be had, at the start: nothing else throws.
    std::cerr << "finhold: cannot start: " << failure.what() << '\n';
    return 1;
  }
}
