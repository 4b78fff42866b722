// A connection whose TLS handshake has something to do, or whose near end has not shown yet who it
// is: its way through the table's HandshakeQueue.
#include <utility>

#include "base/duration.h"
#include "tunnel/connection.h"
#include "tunnel/connection_table.h"

namespace finhold::tunnel {

bool Connection::begin_waiting() {
  if (waiting_) return false;
  waiting_ = true;
  ready_time_.begin_wait(table_.loop_.now());
  return true;
}

// Its turn in the queue, which it has left.
void Connection::shake_hands() {
  const std::uint64_t told = http2_.told();
  waiting_ = false;
  ready_time_.end_wait(table_.loop_.now());
  read();
  if (std::exchange(late_, false) && state_ == State::open && !ready_) give_up_if_late();
  if (http2_.told() != told) table_.told_ = true;
}

void Connection::stop_waiting() {
  if (std::exchange(waiting_, false)) table_.handshakes_.remove(*this);
}

void Connection::give_up_if_late() {
  if (waiting_) {
    late_ = true;
  } else if (table_.loop_.now() < ready_time_.end()) {
    arm(ready_time_.end());
  } else {
    lose((tls_ ? "TLS and HTTP/2 were not ready within " : "HTTP/2 was not ready within ") +
         base::format_duration(base::Milliseconds(ready_time_.duration())));
  }
}

// What a handshake makes of it costs far more than its bytes, and so may the requests of a
// stranger.
void Connection::receive() {
  if (must_queue()) return table_.handshakes_.add(*this);
  if (!table_.may_read()) return table_.defer(*this);
  read();
}

bool Connection::must_queue() const {
  const bool shakes_hands = tls_ && tls_->state() == tls::State::handshaking;
  return state_ == State::open && !to_cut_ && (shakes_hands || !is_known_);
}

}  // namespace finhold::tunnel
