// At most one finhold in a network namespace has rules.
//
// The lock is an nftables table with an owner (Linux 5.12): the kernel removes it with the netlink
// socket that has made it, so it goes with its process, however that ends. Why not a name in the
// abstract namespace of unix(7), or a file: the name is anybody's, and a user without rights could
// keep finhold from starting; a file that only root may lock cannot be had by a finhold that has
// nothing but CAP_NET_ADMIN, nor is it one for each network namespace. The table can be made by
// exactly those who may load rules. It has no chains, so no packet meets it; "nft list ruleset"
// shows it with the process and the user that have it.
#pragma once

#include <optional>
#include <string>

#include "base/error.h"
#include "net/descriptor.h"

namespace finhold::rules {

// Never blocks.
class RulesLock {
 public:
  // Requires that it is not held. code 0: it is held from now on, until this object, or the
  // process, is gone. EBUSY: another one holds it. EPERM: no CAP_NET_ADMIN. EOPNOTSUPP: an older
  // Linux.
  base::Error take();
  [[nodiscard]] bool is_held() const { return socket_.valid(); }

  // Which process and user hold it, as "pid 123, uid 0"; empty if nobody does or it does not say.
  static std::string holder();

 private:
  base::Error attempt();

  net::Descriptor socket_;
};

}  // namespace finhold::rules
