// FINHOLD_CHECK: a bug aborts, in every build. Only for what our own code can get wrong: nothing
// that a remote side, a file or the kernel can do is a bug.
#pragma once

namespace finhold::base {

// Writes "file:line: check failed: what" to standard error and aborts. Any thread.
[[noreturn]] void check_failed(const char* file, int line, const char* what);

}  // namespace finhold::base

#define FINHOLD_CHECK(condition)      \
  ((condition) ? static_cast<void>(0) \
               : ::finhold::base::check_failed(__FILE__, __LINE__, #condition))
