#include "tunnel/handshake_queue.h"

#include <algorithm>
#include <chrono>

#include "tunnel/connection.h"

namespace finhold::tunnel {

std::uint64_t HandshakeQueue::steady_clock() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(std::chrono::nanoseconds(now).count());
}

void HandshakeQueue::add(Connection& connection) {
  if (connection.begin_waiting()) waiting_.push_back(&connection);
}

void HandshakeQueue::remove(const Connection& connection) {
  const auto found = std::find(waiting_.begin(), waiting_.end(), &connection);
  if (found != waiting_.end()) waiting_.erase(found);
}

void HandshakeQueue::work() {
  if (waiting_.empty()) return;
  const std::uint64_t until = clock_() + time_in_turn;
  do {
    Connection& next = *waiting_.front();
    waiting_.pop_front();
    next.shake_hands();
  } while (!waiting_.empty() && clock_() < until);
}

}  // namespace finhold::tunnel
