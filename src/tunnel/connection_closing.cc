// How a connection comes to its end: lost, given up, cut, or left in order with a goodbye.
#include <cerrno>
#include <string>
#include <sys/socket.h>

#include "net/socket.h"
#include "tunnel/connection.h"
#include "tunnel/connection_table.h"

namespace finhold::tunnel {

std::string Connection::words_of(int error) {
  switch (error) {
    case ECONNRESET:
    case EPIPE:
      return "reset by the other side";
    case ETIMEDOUT:
      return "the other side does not answer any more";
    default:
      return base::errno_text(error);
  }
}

// The other side cannot be told.
void Connection::lose(const std::string& why) {
  lost_ = true;
  http2_.lose();
  close(false);
  tell_closed(why);
}

// The other side is told why, if it is willing to hear that: by an alert, or by GOAWAY.
void Connection::fail(const std::string& why) {
  lost_ = true;
  http2_.lose();
  flush();
  if (pending()) {
    close(false);
  } else {
    say_goodbye();
  }
  tell_closed(why);
}

void Connection::cut_now() {
  to_cut_ = false;
  if (send_error_ != 0) return lose(words_of(send_error_));
  const bool had_streams = http2_.open_streams() > 0;
  lost_ = true;
  http2_.cut();
  flush();
  if (pending() || !ready_) {
    close(false);
  } else {
    end_in_order();
  }
  tell_closed(had_streams ? "it was cut by this side" : "");
}

// In order: both sides know that nothing more is to come.
void Connection::leave() {
  end_in_order();
  tell_closed({});
}

// False: too many do, so this one is not to wait for anything.
bool Connection::part(State state) {
  std::size_t& goodbyes = table_.goodbyes_of(is_known_);
  if (state_ == State::open) {
    ++goodbyes;
    parted_at_ = table_.loop_.now();
  }
  state_ = state;
  if (!is_known_) return goodbyes <= ConnectionTable::most_goodbyes_of_strangers;
  if (goodbyes <= ConnectionTable::most_goodbyes) return true;
  Connection& last = table_.that_waits_no_longer(*this);
  if (&last == this) return false;
  last.close(true);
  return true;
}

void Connection::end_in_order() {
  const bool may_wait = part(State::leaving);
  if (tls_) tls_->close();
  flush();
  if (!pending()) return say_goodbye();
  if (!may_wait) return close(true);
  unacknowledged_ = net::unacknowledged_bytes(fd_.get());
  arm(table_.loop_.now() + goodbye_ms_);
}

void Connection::say_goodbye() {
  // Were the socket closed now, bytes that are on their way here would draw a RST, which may
  // destroy what we have sent before it is read.
  net::disarm_linger(fd_.get());
  ::shutdown(fd_.get(), SHUT_WR);
  kept_ = {};
  if (!part(State::goodbye)) return close(true);
  unacknowledged_ = net::unacknowledged_bytes(fd_.get());
  arm(table_.loop_.now() + goodbye_ms_);
}

// For as long as the other side takes what sessions that are over have written.
void Connection::wait_for_goodbye() {
  const int left = net::unacknowledged_bytes(fd_.get());
  if (left == 0 || left >= unacknowledged_) return close(true);
  unacknowledged_ = left;
  arm(table_.loop_.now() + goodbye_ms_);
}

void Connection::close(bool in_order) {
  if (state_ != State::open) --table_.goodbyes_of(is_known_);
  if (in_order) net::disarm_linger(fd_.get());
  state_ = State::closed;
  disarm();
  stop_waiting();
  readable_ = false;
  kept_ = {};
  table_.poller_.forget(*this);
  fd_.close();
  table_.queue(*this);
}

void Connection::tell_closed(const std::string& why) {
  table_.told_ = true;
  std::string better;
  if (!ready_ && !why.empty()) {
    better = why_no_match(http2_.role(), tls_.has_value(), other_end_speaks_);
  }
  owner_.on_closed(*this, better.empty() ? why : better);
}

}  // namespace finhold::tunnel
