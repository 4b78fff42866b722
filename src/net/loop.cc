#include "net/loop.h"

#include "base/check.h"

namespace finhold::net {

Loop::Loop() {
  FINHOLD_CHECK(uv_loop_init(&loop_) == 0);
  prepare_.reset(new uv_prepare_t{});
  idle_.reset(new uv_idle_t{});
  uv_prepare_init(&loop_, prepare_.get());
  uv_idle_init(&loop_, idle_.get());
  prepare_->data = this;
  uv_prepare_start(prepare_.get(),
                   [](uv_prepare_t* handle) { static_cast<Loop*>(handle->data)->on_prepare(); });
}

Loop::~Loop() {
  turn_end_ = nullptr;
  prepare_.reset();
  idle_.reset();
  uv_run(&loop_, UV_RUN_DEFAULT);  // frees what was let go
  FINHOLD_CHECK(uv_loop_close(&loop_) == 0);
}

void Loop::run() { uv_run(&loop_, UV_RUN_DEFAULT); }

void Loop::stop() { uv_stop(&loop_); }

void Loop::on_prepare() {
  if (turn_end_ == nullptr) return;
  // An active idle handle makes libuv poll without waiting.
  if (turn_end_->turn_end()) {
    uv_idle_start(idle_.get(), [](uv_idle_t*) {});
  } else {
    uv_idle_stop(idle_.get());
  }
}

Wake::Wake(Loop& loop, Listener& listener) : async_(new uv_async_t{}) {
  const int failure = uv_async_init(loop.raw(), async_.get(), [](uv_async_t* handle) {
    static_cast<Listener*>(handle->data)->on_wake();
  });
  FINHOLD_CHECK(failure == 0);
  async_->data = &listener;
}

}  // namespace finhold::net
