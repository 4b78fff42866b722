#include "base/private_file.h"

#include <array>
#include <cstdio>

namespace finhold::base {

std::string mode_if_shared(const struct stat& status) {
  const mode_t shared = S_IRWXG | S_IRWXO;
  const mode_t good = status.st_uid == 0 ? S_IRGRP : 0;
  if (!S_ISREG(status.st_mode) || (status.st_mode & shared & ~good) == 0) return {};
  std::array<char, 8> mode{};
  static_cast<void>(
      std::snprintf(mode.data(), mode.size(), "%04o", status.st_mode & (shared | S_IRWXU)));
  return mode.data();
}

}  // namespace finhold::base
