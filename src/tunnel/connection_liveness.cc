// Whether the other end of a connection is alive: silence, PINGs, and what its kernel acknowledges.
#include <algorithm>
#include <utility>

#include "base/duration.h"
#include "net/socket.h"
#include "tunnel/connection.h"
#include "tunnel/connection_table.h"

namespace finhold::tunnel {

namespace {

// PINGs, one behind the other: they may all arrive at once, and are not to be taken for a flood
// then.
constexpr int most_unanswered = 100;

// At least so often while an answer is waited for: of a pause of this whole process, amid that, no
// more than the time from one to the next is taken for the other end's. (2026-11-28;
// tests/integration/operation/test_pauses.py.)
constexpr net::Instant looks = 4;

// At one that waits for us.
constexpr net::Instant look_again_ms = 10;

}  // namespace

// One deadline for everything: it is only looked at when it passes, so that bytes that come and go
// touch no timer.
void Connection::on_time() {
  if (state_ != State::open) return wait_for_goodbye();
  // After a pause of this whole process what has arrived meanwhile counts; also where there is no
  // time to read it in this turn, so that no answer is missed.
  readable_ = true;
  receive();
  if (state_ != State::open) return;
  const net::Instant now = table_.loop_.now();
  // In what this process was late it has not listened: that is not the other end's silence.
  if (unanswered_ > 0 && now > deadline()) waiting_since_ += now - deadline();
  const bool unread = !waiting_ && readable_ && net::waiting(fd_.get()).anything;
  if (!ready_) return unread ? arm(now + look_again_ms) : give_up_if_late();
  if (waiting_) return arm(now + look_again_ms);
  if (unread) {
    heard_at_ = now;
    unanswered_ = 0;
  }
  const net::Instant quiet_until = heard_at_ + net::instant(life_.ping_every);
  if (unanswered_ == 0 && now < quiet_until) return arm(quiet_until);
  if (!is_alive(now)) {
    return lose("no answer to PING for " + base::format_duration(life_.ping_timeout));
  }
  ask(now);
  arm(std::min({pinged_at_ + net::instant(life_.ping_every),
                waiting_since_ + net::instant(life_.ping_timeout),
                now + std::max<net::Instant>(net::instant(life_.ping_timeout) / looks, 1)}));
}

// On a slow link a PING stands behind what the socket, or a queue on the way, had before; that it
// moves is a sign of life until the PING has arrived, at the other side's kernel. Its process has
// to answer from then on, whatever its kernel still takes: that of one that hangs goes on for
// megabytes. By SIOCOUTQ: a zero-window probe or a keepalive moves nothing there. (2026-11-27;
// tests/integration/pair/test_pair_liveness.py.)
bool Connection::is_alive(net::Instant now) {
  if (unanswered_ == 0) return true;
  const std::uint64_t before = std::exchange(acknowledged_, acknowledged());
  if (before < asked_until_ && acknowledged_ > before) waiting_since_ = now;
  return now < waiting_since_ + net::instant(life_.ping_timeout);
}

// Each time, not once: a box may forget the connection before ping_timeout is over.
void Connection::ask(net::Instant now) {
  if (unanswered_ == 0) {
    waiting_since_ = now;
    acknowledged_ = acknowledged();
    asked_until_ = not_made;
  } else if (now < pinged_at_ + net::instant(life_.ping_every)) {
    return;
  }
  pinged_at_ = now;
  if (unanswered_ == most_unanswered) return;
  ++unanswered_;
  http2_.ping(now);
  touch();
}

std::uint64_t Connection::acknowledged() const {
  return sent_ - static_cast<std::uint64_t>(std::max(net::unacknowledged_bytes(fd_.get()), 0));
}

}  // namespace finhold::tunnel
