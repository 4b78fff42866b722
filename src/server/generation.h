// A configuration as it was read once, with the certificates that it names. finhold runs with the
// newest; sessions, and ends of pairs that have not changed, keep the one that they began with.
//
// A configuration is never changed: sessions keep the relay::Route that they began with, so the
// generation of it must outlive them. Nothing is counted for that on the data path: after a reload
// generations_in_use.h looks once a second which routes the sessions have. A listener stays in its
// epoll, and only the route behind it is another one. Rules are not reloaded with --apply-rules:
// the process that keeps them would have to take them from one that reads what strangers send.
// (2026-11-22; tests/integration/operation/test_reload.py.)
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <vector>

#include "config/config.h"
#include "server/certificates.h"

namespace finhold::server {

// Immutable: any thread.
struct Generation {
  config::Config config;
  Certificates certificates;  // of the config
};

// Shared by the workers; the last of them that lets go of it frees it.
using GenerationRef = std::shared_ptr<const Generation>;

// Whether the route is one of that generation (by its place in memory, not by what it says), or of
// one of its far ends.
bool owns(const Generation& generation, const relay::Route& route);

// Whether it owns one of these, which sessions have.
bool is_in_use(const Generation& generation, const std::vector<const relay::Route*>& routes);

// Whether some route uses that one of its tunnels.
bool uses_tunnel(const config::Config& config, std::size_t tunnel);

// The tunnel, or the far end, of an earlier generation that is the same in all that it says and in
// its certificates: nothing of it need be begun anew.
std::optional<std::size_t> same_tunnel(const Generation& earlier, const Generation& now,
                                       std::size_t tunnel);
bool is_same_far(const Generation& earlier, std::size_t earlier_far, const Generation& now,
                 std::size_t far);

// How much of a configuration is another one: routes, tunnels and far ends, by their names.
struct Difference {
  std::size_t added = 0;
  std::size_t changed = 0;
  std::size_t removed = 0;

  friend bool operator==(const Difference&, const Difference&) = default;
};
Difference difference(const Generation& earlier, const Generation& now);

}  // namespace finhold::server
