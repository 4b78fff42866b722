// What must be had before finhold serves with a configuration, at the start and at each reload.
// Whatever fails has a line in the log with the reason and what to do. On the main thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "config/config.h"
#include "server/certificates.h"
#include "server/listen_plan.h"
#include "server/worker_listeners.h"

namespace finhold::server {

// Writes a line if there is a mistake, and says whether there is.
bool tell(const std::string& what, const std::optional<base::Mistake>& mistake);

// False: connections that finhold opens would lead back to it, whoever loads the rules.
bool passes_its_own_rules(const config::Config& config);

// A line for each of warnings_about_pairs().
void warn_about_pairs(const config::Config& config, const Certificates& certificates);

// Of the start; with warnings.
std::optional<Certificates> certificates_of(const config::Config& config);

// Whether all that sessions need can be dialed with the privileges that are left.
bool can_dial_all(const config::Config& config);

// How many workers it asks for.
std::uint32_t workers_of(const config::Config& config);

// Sets how many sessions and near ends there are descriptors for, after asking for all that this
// process may have: at most limits.sessions, and fewer with a line in the log, unless as many as
// before. Accepting pauses there, before the dials of accepted clients would find none.
void limit_by_descriptors(const config::Config& config, std::uint32_t workers,
                          relay::SessionQuota& quota);

struct Listening {
  std::vector<ListenPlace> places;
  std::vector<std::vector<Sockets>> sockets;  // for each worker, as the places
};

// All sockets of the config: those that systemd has passed, and new ones.
std::optional<Listening> listen_first(const config::Config& config, std::uint32_t workers);

// The same for another config, while those of `now` listen.
std::optional<Listening> listen_next(const std::vector<ListenPlace>& now,
                                     const config::Config& next, std::uint32_t workers);

}  // namespace finhold::server
