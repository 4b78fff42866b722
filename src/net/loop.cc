#include "net/loop.h"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <memory>
#include <system_error>
#include <unistd.h>

#include "base/check.h"

namespace finhold::net {
namespace {

thread_local bool in_libuv = false;

// While it lives, an abort of this thread is libuv's.
class Inside {
 public:
  Inside() { in_libuv = true; }
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;
  ~Inside() { in_libuv = false; }
};

// libuv aborts where the kernel refuses it a pipe (its signals) or a place in an epoll, whose errno
// is still there. That is no bug. Only what a signal handler may call (signal-safety(7)).
void on_abort(int /*signal*/) {
  if (!in_libuv) {
    // A bug, or the watchdog of systemd, whose signal would be lost if this returned. Its end as
    // if there had been no handler comes with the return.
    static_cast<void>(std::signal(SIGABRT, SIG_DFL));
    static_cast<void>(raise(SIGABRT));
    return;
  }
  constexpr const char* what = "finhold: cannot go on: the kernel refuses what its loop needs: ";
  const char* const why = strerrordesc_np(errno);
  for (const char* part : {what, why != nullptr ? why : "unknown error", "\n"}) {
    if (write(STDERR_FILENO, part, std::strlen(part)) < 0) break;
  }
  _exit(1);
}

}  // namespace

Loop::Loop() {
  static_cast<void>(std::signal(SIGABRT, on_abort));
  const Inside inside;
  const int failure = uv_loop_init(&loop_);
  if (failure != 0) throw std::system_error(-failure, std::generic_category(), "uv_loop_init");
}

Loop::~Loop() {
  {
    const Inside inside;
    uv_run(&loop_, UV_RUN_DEFAULT);  // frees what was let go
  }
  FINHOLD_CHECK(uv_loop_close(&loop_) == 0);
}

void Loop::prepare() {
  const Inside inside;
  uv_run(&loop_, UV_RUN_NOWAIT);
}

void Loop::run() { uv_run(&loop_, UV_RUN_DEFAULT); }

void Loop::stop() { uv_stop(&loop_); }

Wake::Wake(Loop& loop, Listener& listener) {
  auto async = std::make_unique<uv_async_t>();
  const int failure = uv_async_init(loop.raw(), async.get(), [](uv_async_t* handle) {
    static_cast<Listener*>(handle->data)->on_wake();
  });
  if (failure != 0) throw std::system_error(-failure, std::generic_category(), "uv_async_init");
  async->data = &listener;
  async_.reset(async.release());
}

}  // namespace finhold::net
