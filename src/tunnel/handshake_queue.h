// TLS handshakes of one worker that have something to do. One costs from 0.1 ms (keys of P-256) to
// several ms (RSA of 4096 bits), and whoever sends a hello that was recorded pays nothing for it:
// so they wait here, and each turn of the worker has time for a few. Who came first is first: near
// ends wait behind those that were there before, and behind nobody who comes later. So does
// whatever a near end says over HTTP/2 before it has shown who it is (Connection::prove()).
#pragma once

#include <cstdint>
#include <deque>

#include "net/loop.h"

namespace finhold::tunnel {

class Connection;

// On the worker's thread.
class HandshakeQueue {
 public:
  // Nanoseconds of a clock that never goes back.
  using Clock = std::uint64_t (*)();
  static std::uint64_t steady_clock();

  // Of a turn, after which no further one is begun. Sessions wait that long for each turn that has
  // handshakes, and a single one has its time even if that is more.
  static constexpr std::uint64_t time_in_turn = 1'000'000;

  // At its end, unless it is there.
  void add(Connection& connection);
  // It needs none any more.
  void remove(const Connection& connection);

  // What there is time for in a turn: at least one.
  void work();

  [[nodiscard]] bool empty() const { return waiting_.empty(); }

  // For tests.
  void measure_with(Clock clock) { clock_ = clock; }

 private:
  std::deque<Connection*> waiting_;
  Clock clock_ = &steady_clock;
};

// Until when a connection has to be ready. Time that it has waited for us is not its own and is
// added; but no more than it has of its own, so that nobody stays for as long as others keep us
// busy.
class ReadyTime {
 public:
  ReadyTime(net::Instant begin, net::Instant own) : begin_(begin), own_(own) {}

  // It waits for us from now on.
  void begin_wait(net::Instant now) { waits_since_ = now; }
  void end_wait(net::Instant now) { waited_ += now - waits_since_; }

  [[nodiscard]] net::Instant end() const {
    return begin_ + own_ + (waited_ < own_ ? waited_ : own_);
  }
  // Its own.
  [[nodiscard]] net::Instant duration() const { return own_; }

 private:
  net::Instant begin_;
  net::Instant own_;
  net::Instant waited_ = 0;
  net::Instant waits_since_ = 0;
};

}  // namespace finhold::tunnel
