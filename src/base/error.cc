#include "base/error.h"

#include <cstring>

namespace finhold::base {

std::string Error::text() const { return std::string(operation) + ": " + errno_text(code); }

std::string errno_text(int code) {
  const char* text = strerrordesc_np(code);
  return text != nullptr ? text : errno_name(code);
}

std::string errno_name(int code) {
  const char* name = strerrorname_np(code);
  return name != nullptr ? name : "errno " + std::to_string(code);
}

}  // namespace finhold::base
