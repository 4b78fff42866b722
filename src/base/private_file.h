// Files that hold a secret: who can read them besides finhold.
#pragma once

#include <string>
#include <sys/stat.h>

namespace finhold::base {

// The mode, as "0644", of a regular file that others than its owner can use; empty: they cannot. A
// file of root's may be read by a group: how a service that does not run as root is given its own.
std::string mode_if_shared(const struct stat& status);

// What to do about that.
inline constexpr const char* to_make_private =
    R"("chmod 600" it, or, owned by root and by the group that finhold runs as, "chmod 640")";

}  // namespace finhold::base
