// What each client has of one route: how many sessions, and how lately it has connected. For the
// whole process; looked at when a session begins and ends.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "base/network.h"
#include "core/deadlines.h"

namespace finhold::relay {

// Any thread. Sessions of clients: an entry lives as long as its client has a session, so there are
// no more of them than sessions, whatever strangers do. Workers meet only in one shard's lock.
// Every session is counted, with or without a limit, so one that a reload brings knows of those
// before it; the cost is one uncontended lock at either end of a session. A lock for each client
// would not bound what strangers can make us remember. (2026-11-26;
// tests/integration/operation/test_client_limits.py.)
class ClientSessions {
 public:
  // One more. False: the client has `most` already (0: no limit), and this one is not counted.
  bool take(const base::Network& client, std::uint32_t most);
  // Requires a take() that was true.
  void give_back(const base::Network& client);

  [[nodiscard]] std::size_t clients() const;

 private:
  struct Hash {
    std::size_t operator()(const base::Network& client) const;
  };
  struct Shard {
    mutable std::mutex mutex;
    std::unordered_map<base::Network, std::uint32_t, Hash> sessions;
  };

  Shard& shard_of(const base::Network& client);

  std::array<Shard, 16> shards_;
};

// Any thread. A token bucket for each client: it is full after burst_seconds of calm, and then
// lets so many seconds' worth of connects through at once.
//
// A bucket that is full again need not be remembered. There is room for 65,536 that are not (1 MiB,
// once there is a first); beyond, the one is forgotten that is the nearest to full among eight, and
// its client has a full one anew. Who floods from few addresses is never that one; who has so many
// addresses could come from a new one each time anyway.
class ClientRates {
 public:
  // A token of the client's. False: there is none. Requires per_second > 0.
  bool take(const base::Network& client, std::uint32_t per_second, core::Instant now);

 private:
  static constexpr std::size_t places_in_set = 8;
  static constexpr std::size_t sets = 8192;
  static constexpr std::size_t locks = 64;

  struct Bucket {
    std::uint64_t client = 0;      // by a hash
    std::uint64_t full_at_ns = 0;  // when nothing is missing any more
  };
  using Set = std::array<Bucket, places_in_set>;

  std::once_flag made_;
  std::vector<Set> sets_;  // none before made_; each under one of mutexes_
  std::array<std::mutex, locks> mutexes_;
};

}  // namespace finhold::relay
