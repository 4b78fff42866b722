// Users of this machine.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace finhold::config {

struct User {
  std::string name;
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;  // the user's own group

  friend bool operator==(const User&, const User&) = default;
};

// The user of that name, from /etc/passwd or whatever the machine asks (nsswitch.conf); nothing if
// there is none. The error: that cannot be said now. May block, as looking up a host does. Any
// thread.
base::Result<std::optional<User>> find_user(std::string_view name);

}  // namespace finhold::config
