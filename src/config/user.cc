#include "config/user.h"

#include <cerrno>
#include <pwd.h>
#include <vector>

namespace finhold::config {

std::optional<User> find_user(std::string_view name) {
  if (name.empty() || name.find('\0') != std::string_view::npos) return std::nullopt;
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
  if (failure != 0 || found == nullptr) return std::nullopt;
  return User{asked, entry.pw_uid, entry.pw_gid};
}

}  // namespace finhold::config
