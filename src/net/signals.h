// Signals as events of a loop.
#pragma once

#include <initializer_list>
#include <vector>

#include "net/loop.h"

namespace finhold::net {

// On the loop's thread.
class Signals {
 public:
  class Listener {
   public:
    virtual void on_signal(int number) = 0;

   protected:
    ~Listener() = default;
  };

  // `loop` and `listener` outlive this.
  Signals(Loop& loop, std::initializer_list<int> numbers, Listener& listener);

 private:
  std::vector<Handle<uv_signal_t>> signals_;
};

}  // namespace finhold::net
