// What `catch` and `spare` say together with other keys, and cannot mean.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "config/config.h"
#include "config/route_checks.h"

namespace finhold::config {

// `given` as for route_mistakes(): a list is in it only if each of its items is right. `user`: that
// finhold will run as, if the file says so.
std::vector<RouteMistake> catch_mistakes(const relay::Route& route,
                                         std::span<const std::string_view> given,
                                         const std::optional<User>& user);

// Makes routes that do not redirect, or have no mark, mark what they open where rules look at that:
// those that redirect catch what this machine opens, unless it bears their mark; and those of a
// gateway tell the two legs of a session apart by it if these have the same addresses and ports.
// The same for far ends and for the connections of tunnels.
void mark_own_connections(Config& config);

// Whether the rules of a redirecting route let finhold's own connections pass, if it runs as that
// user: else each would lead back to it. Nothing: the user is not known yet, and may be a right
// one.
bool lets_finhold_pass(const relay::Route& route, std::optional<std::uint32_t> uid);

}  // namespace finhold::config
