// One libuv loop, and the rule for memory that libuv may still touch: it sits in a Handle, whose
// deleter is the only call of uv_close in finhold.
#pragma once

#include <cstdint>
#include <memory>

#include <uv.h>

#include "base/duration.h"

namespace finhold::net {

// Milliseconds of the loop's monotonic clock, read once a turn.
using Instant = std::uint64_t;

// Requires that it is not negative.
inline Instant instant(base::Milliseconds duration) {
  return static_cast<Instant>(duration.count());
}

struct CloseHandle {
  template <typename UvHandle>
  void operator()(UvHandle* handle) const {
    uv_close(reinterpret_cast<uv_handle_t*>(handle),
             [](uv_handle_t* closed) { delete reinterpret_cast<UvHandle*>(closed); });
  }
};

// A libuv handle on the heap; freed by the loop, one turn after this owner lets go. Requires that
// the handle was initialised.
template <typename UvHandle>
using Handle = std::unique_ptr<UvHandle, CloseHandle>;

// Belongs to one thread: every call on the thread that runs it, but for construction before.
class Loop {
 public:
  // Throws std::system_error if the kernel refuses what it needs. Where libuv would abort for that,
  // here and in prepare(), a line on standard error tells why, and the process exits with 1
  // (2026-11-26; tests/integration/operation/test_shortage.py).
  Loop();
  // Requires that every Handle of this loop has been let go: finhold aborts if the loop cannot be
  // closed, since something would leak.
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // Has libuv register with the kernel what it waits for, which it would do at its first turn.
  // Requires a Wake, that none was called, and that no timer is due.
  void prepare();

  // Returns after stop(). A loop with a Poller is run by that.
  void run();
  void stop();

  [[nodiscard]] Instant now() const { return uv_now(&loop_); }
  [[nodiscard]] uv_loop_t* raw() { return &loop_; }

 private:
  uv_loop_t loop_{};
};

// Makes a loop call something on its own thread.
class Wake {
 public:
  class Listener {
   public:
    virtual void on_wake() = 0;

   protected:
    ~Listener() = default;
  };

  // On the loop's thread, or before it runs. `listener` must outlive this. Throws std::system_error
  // if the kernel refuses it.
  Wake(Loop& loop, Listener& listener);

  // Any thread, and a signal handler too; several calls may give one on_wake().
  void call() { uv_async_send(async_.get()); }

 private:
  Handle<uv_async_t> async_;
};

}  // namespace finhold::net
