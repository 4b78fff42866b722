// What finhold says where it cannot go on.
#pragma once

namespace finhold::server {

// From now on an exception that nobody catches ends finhold with one line on standard error and
// exit code 1. While it serves that is std::bad_alloc alone; every session is reset by the kernel
// then, since its legs are armed for that (SO_LINGER). Call it once, in main().
void report_fatal_errors();

}  // namespace finhold::server
