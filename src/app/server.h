// finhold run: the listening sockets, the workers, the signals, the orderly end.
#pragma once

#include "app/config.h"

namespace finhold::app {

// Serves until SIGTERM or SIGINT; then no connection is accepted, and sessions have limits.drain to
// finish before they are reset; a second signal resets them at once. Returns the exit code: 0 after
// an orderly end, 1 if it could not start (the log says why).
// On the main thread, once in a process.
int serve(const Config& config);

}  // namespace finhold::app
