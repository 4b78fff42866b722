#include "net/loop.h"

#include "base/check.h"

namespace finhold::net {

Loop::Loop() { FINHOLD_CHECK(uv_loop_init(&loop_) == 0); }

Loop::~Loop() {
  uv_run(&loop_, UV_RUN_DEFAULT);  // frees what was let go
  FINHOLD_CHECK(uv_loop_close(&loop_) == 0);
}

void Loop::run() { uv_run(&loop_, UV_RUN_DEFAULT); }

void Loop::stop() { uv_stop(&loop_); }

Wake::Wake(Loop& loop, Listener& listener) : async_(new uv_async_t{}) {
  const int failure = uv_async_init(loop.raw(), async_.get(), [](uv_async_t* handle) {
    static_cast<Listener*>(handle->data)->on_wake();
  });
  FINHOLD_CHECK(failure == 0);
  async_->data = &listener;
}

}  // namespace finhold::net
