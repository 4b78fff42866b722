// finhold status: asks a running finhold how it fares, and shows it.
#pragma once

#include <iosfwd>

#include "base/address.h"

namespace finhold::app {

struct StatusRequest {
  base::Address admin;  // where [admin] listens
  bool watch = false;   // again every 2 s, until this process is ended
  bool json = false;
};

// The exit code: 0 it is well, 1 it is not, or is not there.
int show_status(const StatusRequest& request, std::ostream& out, std::ostream& err);

}  // namespace finhold::app
