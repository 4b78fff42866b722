// What the sessions of one route share, in the whole process: how many there are, and what each
// client has of them. A route that is full does not accept, as with HAProxy's maxconn; a client
// that has its part is reset, since others wait behind it. (2026-11-26;
// tests/integration/operation/test_client_limits.py.)
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>

#include "relay/client_counts.h"

namespace finhold::relay {

// Any thread. Listeners that have paused for the same want: only the first to pause and the last to
// recover say so.
class PauseCount {
 public:
  bool first_to_pause() { return paused_.fetch_add(1) == 0; }
  bool last_to_recover() { return paused_.fetch_sub(1) == 1; }

 private:
  std::atomic<std::uint32_t> paused_{0};
};

// Any thread.
class RouteQuota {
 public:
  // Of a route that may have `most` (0: no limit). Like SessionQuota::room() not exact to the last
  // session: another worker may take the room first.
  [[nodiscard]] bool room(std::uint32_t most) const {
    return most == 0 || open_.load(std::memory_order_relaxed) < most;
  }
  void take() { open_.fetch_add(1, std::memory_order_relaxed); }
  void give_back() { open_.fetch_sub(1, std::memory_order_relaxed); }

  [[nodiscard]] PauseCount& pauses() { return pauses_; }
  [[nodiscard]] ClientSessions& clients() { return clients_; }
  [[nodiscard]] ClientRates& rates() { return rates_; }

 private:
  std::atomic<std::uint32_t> open_{0};
  PauseCount pauses_;
  ClientSessions clients_;
  ClientRates rates_;
};

// Any thread. By the names of routes and far ends, so that a route which a reload changes counts
// the sessions that began before.
class RouteQuotas {
 public:
  // Stays where it is. A few kilobytes for each name that a configuration has ever had.
  RouteQuota& of(const std::string& name) {
    const std::lock_guard lock(mutex_);
    return quotas_[name];
  }

 private:
  std::mutex mutex_;
  std::map<std::string, RouteQuota> quotas_;  // under mutex_, but for what is in each
};

}  // namespace finhold::relay
