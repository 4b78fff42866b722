// finhold run: the listening sockets, the workers, the signals, the orderly end.
#pragma once

#include "config/config.h"
#include "server/reload.h"

namespace finhold::server {

// Serves until SIGTERM or SIGINT; then no connection is accepted, and sessions have limits.drain to
// finish before they are reset; a second signal resets them at once. Returns the exit code: 0 after
// an orderly end, 1 if it could not start (the log says why).
// SIGHUP: `read_config` is called.
// `apply_rules`: loads what diverts connections, and removes it at the end. Requires
// any_wants_rules(). On the main thread, once in a process, and before there is another thread.
int serve(const config::Config& config, bool apply_rules, ReadConfig read_config);

}  // namespace finhold::server
