// What finhold may do beyond an ordinary process, and giving it up. Capabilities: capabilities(7).
//
// All of it is for a process of one thread: every thread has capabilities of its own, and inherits
// those of the thread that starts it. finhold opens nothing later that needs what it gives up here:
// the log goes to standard error, and its configuration has been read.
#pragma once

#include <optional>

#include "base/result.h"
#include "config/config.h"

namespace finhold::server {

// Whether this process may change rules and routing (CAP_NET_ADMIN).
bool may_change_network();

// From now on no other process of the same user can read this one's memory, which holds keys and
// tokens, or its environment, and there are no core dumps of it; unless the config wants that.
// drop_privileges() does it again.
void hide_memory(const config::Config& config);

// Becomes config.user, if there is one, and keeps of its capabilities only what the routes of the
// config need for each session; nothing that is run later can have more. Capabilities that are
// needed and missing are told of by those who need them. The mistake says what could not be done.
std::optional<base::Mistake> drop_privileges(const config::Config& config);

// Becomes config.user, and keeps CAP_NET_ADMIN only, for itself and for what it runs.
std::optional<base::Mistake> keep_net_admin_only(const config::Config& config);

}  // namespace finhold::server
