// The command line: what finhold is asked to do, with the configuration that it is to do it with.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <string>

#include "app/show_status.h"
#include "config/config.h"

namespace finhold::app {

struct Command {
  enum class Kind : std::uint8_t {
    run,     // relay, with this config
    status,  // ask a running finhold, and show what it says
    done,    // everything is said; end with exit_code
  };
  Kind kind = Kind::done;
  int exit_code = 0;             // of done: 0, or 2 for wrong usage and wrong configurations
  config::Config config = {};    // of run
  bool apply_rules = false;      // of run: any_wants_rules() is true
  std::string config_path = {};  // of run; "" if the route came from flags
  StatusRequest status = {};     // of status
};

// Help, the version and the verdict of "finhold check" go to out; what is wrong with the flags or
// the configuration file goes to err.
Command parse_command_line(int argc, const char* const* argv, std::ostream& out, std::ostream& err);

}  // namespace finhold::app
