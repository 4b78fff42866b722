#include "config/user.h"

#include <cerrno>
#include <pwd.h>
#include <vector>

namespace finhold::config {

namespace {

// The other numbers that getpwnam_r(3) has for "none", depending on who was asked.
bool means_none(int failure) {
  return failure == 0 || failure == ENOENT || failure == ESRCH || failure == EBADF ||
         failure == EPERM;
}

}  // namespace

base::Result<std::optional<User>> find_user(std::string_view name) {
  const std::optional<User> none;
  if (name.empty() || name.find('\0') != std::string_view::npos) return none;
  const std::string asked(name);
  std::vector<char> text(4096);
  passwd entry{};
  passwd* found = nullptr;
  int failure = ERANGE;
  while ((failure = getpwnam_r(asked.c_str(), &entry, text.data(), text.size(), &found)) ==
             ERANGE &&
         text.size() < 1'048'576) {
    text.resize(text.size() * 4);
  }
  if (found != nullptr) return std::optional(User{asked, entry.pw_uid, entry.pw_gid});
  if (means_none(failure)) return none;
  return base::Error{failure, "getpwnam_r"};
}

}  // namespace finhold::config
