// The sessions of a worker that hold a FIN for a side which was found to be only half-closed, on
// this machine: looks now and then whether it has closed fully since. Nothing on the wire tells
// that, with or without finhold between; so a second of delay costs nobody anything, and the
// kernel's own notices (SKNLGRP_INET_TCP_DESTROY), which come for every socket of the namespace and
// may get lost, are not needed. (2026-11-22; tests/integration/closing/test_gone.py.)
#pragma once

#include <cstddef>
#include <vector>

#include "net/loop.h"
#include "net/socket_owner.h"
#include "net/timers.h"

namespace finhold::relay {

class Session;

// On the worker's thread. Nothing runs while no session is watched.
class GoneWatch final : private net::Timer {
 public:
  GoneWatch(net::Loop& loop, net::Timers& timers) : net::Timer(timers), loop_(loop) {}

  [[nodiscard]] net::SocketOwner& kernel() { return kernel_; }

  // The session stays until remove(), which it owes before it is destroyed.
  void add(Session& session);
  // Nothing happens if it is not there.
  void remove(Session& session);

 private:
  // Each is looked at once a round, and soon after it was added: a program often calls shutdown()
  // and close() in one breath. A turn of the loop is not held up by more than about a millisecond
  // of questions, and no more than a twentieth of the time goes to them, however many there are.
  static constexpr net::Instant round_ms = 1000;
  static constexpr net::Instant soon_ms = 20;
  static constexpr std::size_t most_at_once = 256;

  void on_time() override;

  net::Loop& loop_;
  net::SocketOwner kernel_;
  std::vector<Session*> watched_;
  std::size_t next_ = 0;
};

}  // namespace finhold::relay
