// finhold run: the listening sockets, the workers, the signals, the orderly end.
#pragma once

#include "app/cli.h"
#include "app/config.h"

namespace finhold::app {

// Serves until SIGTERM or SIGINT; then no connection is accepted, and sessions have limits.drain to
// finish before they are reset; a second signal resets them at once. Returns the exit code: 0 after
// an orderly end, 1 if it could not start (the log says why).
// SIGHUP: `words` are read again, with the file that they name.
// `apply_rules`: loads what diverts connections, and removes it at the end. Requires
// any_wants_rules(). On the main thread, once in a process, and before there is another thread.
int serve(const Config& config, bool apply_rules, CommandWords words);

}  // namespace finhold::app
