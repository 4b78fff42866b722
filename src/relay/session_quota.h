// How many sessions the whole process may have.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "relay/client_counts.h"
#include "relay/own_dials.h"
#include "relay/route_quota.h"

namespace finhold::relay {

// Any thread. Shared by all workers; touched when a session begins and ends, not while bytes move.
class SessionQuota {
 public:
  // `own_dials`: some route intercepts, so that own connections may come back.
  SessionQuota(std::uint32_t most, bool own_dials)
      : most_(most), own_dials_(own_dials ? std::make_unique<OwnDials>() : nullptr) {}

  // Whether there is room; another worker may take it first, so the bound is not exact to the last
  // session.
  [[nodiscard]] bool room() const {
    return open() + reserved_.load(std::memory_order_relaxed) < most();
  }
  // For what will be a session, if its name has an address.
  void reserve() { reserved_.fetch_add(1, std::memory_order_relaxed); }
  void give_back_reserved() { reserved_.fetch_sub(1, std::memory_order_relaxed); }
  void take() { open_.fetch_add(1, std::memory_order_relaxed); }
  void give_back() { open_.fetch_sub(1, std::memory_order_relaxed); }
  [[nodiscard]] std::uint32_t open() const { return open_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::uint32_t most() const { return most_.load(std::memory_order_relaxed); }
  // Sessions beyond it stay; no new one begins until there is room again.
  void set_most(std::uint32_t most) { most_.store(most, std::memory_order_relaxed); }

  // Connections of near ends, of each far end in each worker: what there are descriptors for.
  [[nodiscard]] std::uint32_t most_near_ends() const {
    return most_near_ends_.load(std::memory_order_relaxed);
  }
  void set_most_near_ends(std::uint32_t most) {
    most_near_ends_.store(most, std::memory_order_relaxed);
  }

  // Of listeners for want of room, descriptors or memory: all of these concern the whole process.
  [[nodiscard]] PauseCount& pauses() { return pauses_; }

  // Of the route or far end with that name.
  RouteQuota& of_route(const std::string& name) { return routes_.of(name); }

  // What near ends have asked for and have no answer to: those that wait for a name or a server.
  [[nodiscard]] ClientSessions& waiting() { return waiting_; }

  // A number for a session, unique in the process.
  std::uint64_t next_id() { return next_id_.fetch_add(1, std::memory_order_relaxed) + 1; }

  // From now on some route intercepts. Before any worker knows one that does.
  void note_interception() {
    if (!own_dials_) own_dials_ = std::make_unique<OwnDials>();
  }
  // Requires a route that intercepts.
  [[nodiscard]] OwnDials& own_dials() { return *own_dials_; }

 private:
  std::atomic<std::uint32_t> most_;
  std::atomic<std::uint32_t> most_near_ends_{UINT32_MAX};
  std::unique_ptr<OwnDials> own_dials_;  // nothing if no route intercepts
  std::atomic<std::uint32_t> open_{0};
  std::atomic<std::uint32_t> reserved_{0};
  ClientSessions waiting_;
  PauseCount pauses_;
  RouteQuotas routes_;
  std::atomic<std::uint64_t> next_id_{0};
};

}  // namespace finhold::relay
