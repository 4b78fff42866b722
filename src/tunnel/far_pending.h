// The place of a request that has no answer yet: of a name that is looked up, a server that is
// dialed. A near end has a part of all sessions for these, so that black holes that it asks for
// take nothing from others.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>

#include "base/address.h"
#include "base/network.h"
#include "relay/session_quota.h"

namespace finhold::tunnel {

// On any thread; given back when it is destroyed.
class FarPending {
 public:
  // For the near ends of that source. Nothing: they have their part.
  static std::unique_ptr<FarPending> take(relay::SessionQuota& quota, const base::Address& near) {
    const base::Network of = base::Network::of_source(near);
    const std::uint32_t part = std::max(quota.most() / 4, least_part);
    if (!quota.waiting().take(of, part)) return nullptr;
    quota.reserve();
    return std::unique_ptr<FarPending>(new FarPending(quota, of));
  }
  FarPending(const FarPending&) = delete;
  FarPending& operator=(const FarPending&) = delete;
  ~FarPending() {
    become_session();
    quota_.waiting().give_back(near_);
  }

  // It counts as a session from now on, and goes on waiting for its server.
  void become_session() {
    if (reserves_) quota_.give_back_reserved();
    reserves_ = false;
  }

 private:
  static constexpr std::uint32_t least_part = 16;

  FarPending(relay::SessionQuota& quota, const base::Network& near) : quota_(quota), near_(near) {}

  relay::SessionQuota& quota_;
  base::Network near_;
  bool reserves_ = true;
};

}  // namespace finhold::tunnel
