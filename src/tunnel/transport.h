// What a leg that is a stream needs to know of the connection that carries it.
#pragma once

#include "tunnel/reset_queue.h"

namespace finhold::tunnel {

// On the worker's thread.
class Transport {
 public:
  // Something was written to, consumed from, or done with one of its streams: what that makes goes
  // out at the end of the turn.
  virtual void touch() = 0;

  // Whether the connection is lost, or dropped for an error. Its streams are then reset for that
  // reason, and not by the other side: true from before the first of them is told.
  [[nodiscard]] virtual bool lost() const = 0;

  // The leg has failed, and its session learns of it in one of the next turns, maybe behind others.
  virtual void tell_later(ResetQueue::Entry& leg) = 0;

 protected:
  ~Transport() = default;
};

}  // namespace finhold::tunnel
