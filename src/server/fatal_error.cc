#include "server/fatal_error.h"

#include <array>
#include <cstdio>
#include <exception>
#include <new>
#include <unistd.h>

namespace finhold::server {
namespace {

// Without memory: the log could not be written to.
[[noreturn]] void end_with_a_line() {
  std::array<char, 400> line{};
  const char* const form = "finhold: ended, and every session is reset: %s\n";
  int length = 0;
  try {
    if (const auto thrown = std::current_exception()) std::rethrow_exception(thrown);
    // As where a destructor of a library needs memory (nlohmann's JSON does): what was thrown is
    // not told then.
    length = std::snprintf(line.data(), line.size(), form,
                           "std::terminate was called, most likely since there is no memory left");
  } catch (const std::bad_alloc&) {
    length =
        std::snprintf(line.data(), line.size(), form,
                      "there is no memory left; raise MemoryMax= in systemd or the container's "
                      "limit, or lower limits.sessions");
  } catch (const std::exception& failure) {
    length = std::snprintf(line.data(), line.size(), form, failure.what());
  } catch (...) {
    length = std::snprintf(line.data(), line.size(), form, "an exception of an unknown kind");
  }
  if (length > static_cast<int>(line.size()) - 1) length = static_cast<int>(line.size()) - 1;
  if (length > 0) {
    static_cast<void>(!write(STDERR_FILENO, line.data(), static_cast<std::size_t>(length)));
  }
  _exit(1);
}

}  // namespace

void report_fatal_errors() { std::set_terminate(end_with_a_line); }

}  // namespace finhold::server
