// Gives memory that was needed for a while back to the system, a little at a time.
#pragma once

#include "base/block_pool.h"
#include "net/loop.h"
#include "net/timers.h"

namespace finhold::net {

// On the loop's thread. Everything referred to outlives it.
class BlockTrimmer final : private Timer {
 public:
  BlockTrimmer(Loop& loop, Timers& timers, base::BlockPool& pool)
      : Timer(timers), loop_(loop), pool_(pool) {}

  // Some may be spare now. Costs nothing if none are, or if that is known.
  void look() {
    if (pool_.spare() > 0 && !armed()) arm(loop_.now() + every_ms);
  }

 private:
  // 80 a second: a worker that had hundreds must not stop for all of them at once.
  static constexpr Instant every_ms = 100;
  static constexpr std::size_t most_at_once = 8;

  void on_time() override {
    if (pool_.let_idle_go(most_at_once)) arm(loop_.now() + every_ms);
  }

  Loop& loop_;
  base::BlockPool& pool_;
};

}  // namespace finhold::net
