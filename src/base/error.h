// What went wrong in a call to the system, small enough to be passed by value on the data path.
#pragma once

#include <string>

namespace finhold::base {

struct Error {
  int code = 0;                // errno, as a positive number
  const char* operation = "";  // the call that failed: "connect", "bind"; a string literal

  // "connect: Connection refused"
  [[nodiscard]] std::string text() const;
};

// "Connection refused", for an errno. Any thread (strerror is not safe there).
[[nodiscard]] std::string errno_text(int code);

// "ECONNREFUSED", for an errno; "errno 4711" for one without a name.
[[nodiscard]] std::string errno_name(int code);

}  // namespace finhold::base
