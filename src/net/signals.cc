#include "net/signals.h"

#include "base/check.h"

namespace finhold::net {

Signals::Signals(Loop& loop, std::initializer_list<int> numbers, Listener& listener) {
  for (const int number : numbers) {
    Handle<uv_signal_t> signal(new uv_signal_t{});
    FINHOLD_CHECK(uv_signal_init(loop.raw(), signal.get()) == 0);
    signal->data = &listener;
    const int failure = uv_signal_start(
        signal.get(),
        [](uv_signal_t* handle, int caught) {
          static_cast<Listener*>(handle->data)->on_signal(caught);
        },
        number);
    FINHOLD_CHECK(failure == 0);
    signals_.push_back(std::move(signal));
  }
}

}  // namespace finhold::net
