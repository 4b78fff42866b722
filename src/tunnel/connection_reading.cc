// What a connection receives: how much of it in a turn, TLS and HTTP/2, and its end.
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <sys/socket.h>

#include "tunnel/connection.h"
#include "tunnel/connection_table.h"

namespace finhold::tunnel {

namespace {

// What one connection may move in a turn before others have theirs.
constexpr std::size_t most_read = std::size_t{1} << 20;
// What is received at once of who makes much work of few bytes.
constexpr std::size_t least_received = std::size_t{1} << 10;

}  // namespace

// A turn ends by bytes or by time: a request, or a message of TLS itself, costs far more than its
// few bytes, and so may an end, of all its sessions. What is received at once follows that.
void Connection::read() {
  using Clock = std::chrono::steady_clock;
  const auto longest_read =
      table_.is_behind_ ? ConnectionTable::longest_read_behind : ConnectionTable::longest_read;
  std::size_t left = is_known_ ? most_read : first_received;
  Clock::duration spent{};
  const auto timed = [&](auto&& what) {
    const auto before = Clock::now();
    what();
    const auto took = Clock::now() - before;
    spent += took;
    if (is_known_) table_.read_time_ += took;
    return took;
  };
  if (table_.resets_.has_many_of(source_)) return table_.queue(*this);
  while (has_more()) {
    if (left == 0 || spent >= longest_read) return table_.queue(*this);
    if (has_unprocessed()) {
      timed([&] { process_more(); });
      continue;
    }
    const std::span<std::byte> room(table_.wire_.get(),
                                    is_known_ ? received_at_once_ : first_received);
    const ssize_t result = ::recv(fd_.get(), room.data(), room.size(), 0);
    if (result > 0) {
      const auto count = static_cast<std::size_t>(result);
      left -= std::min(left, count);
      readable_ = to_the_end_ || count == room.size();
      const auto took = timed([&] { take(room.first(count)); });
      if (took >= longest_read) {
        received_at_once_ = std::max(received_at_once_ / 4, least_received);
      } else if (count == room.size() && 4 * took < longest_read) {
        received_at_once_ = std::min(2 * received_at_once_, ConnectionTable::most_received);
      }
    } else if (result == 0) {
      readable_ = false;
      timed([&] { other_side_ended(); });
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      readable_ = to_the_end_ = false;
      // It could not send for want of memory, say: the other side has not said why, nor will it.
      if (send_error_ != 0) other_side_ended();
    } else if (errno != EINTR) {
      readable_ = false;
      if (send_error_ == 0) send_error_ = errno;
      timed([&] { other_side_ended(); });
    }
  }
}

void Connection::take(std::span<const std::byte> bytes) {
  if (state_ != State::open || to_cut_) return;  // all is said
  heard_at_ = table_.loop_.now();
  unanswered_ = 0;
  if (other_end_speaks_ == DetectedProtocol::none_yet) other_end_speaks_ = detect_protocol(bytes);
  if (tls_) {
    decrypt(bytes);
  } else {
    feed(bytes);
  }
  // It has nearly always drawn an answer: window for more, at least.
  touch();
}

// What has come before, behind many requests.
void Connection::process_more() {
  feed({});
  touch();
  look_for_end_of_tls();
}

void Connection::decrypt(std::span<const std::byte> ciphertext) {
  const std::span<std::byte> room(table_.plain_.get(), ConnectionTable::most_received);
  for (bool more = true; more && state_ == State::open;) {
    const tls::Endpoint::Moved moved = tls_->read(ciphertext, room);
    ciphertext = ciphertext.subspan(moved.taken);
    if (moved.made > 0) feed(room.first(moved.made));
    more = moved.made == room.size();
  }
  look_for_end_of_tls();
}

// Once all that came before it is processed.
void Connection::look_for_end_of_tls() {
  if (state_ != State::open || !tls_ || !tls_->is_over() || has_unprocessed()) return;
  if (tls_->state() == tls::State::ended) return other_side_ended();
  fail(tls_->failure());
}

void Connection::feed(std::span<const std::byte> bytes) {
  if (!http2_.feed(bytes, table_.loop_.now())) {
    fail("HTTP/2: " + std::string(http2_.failed()));
  } else if (goaway_ != http2::ErrorCode::no_error) {
    fail(std::string("the other side has given the connection up: HTTP/2 ") + name_of(goaway_));
  } else {
    tell_room();
  }
}

// The socket has come to its end, or TLS has.
void Connection::other_side_ended() {
  if (state_ == State::closed) return;
  if (state_ != State::open) return close(true);
  if (tls_) tls_->transport_ended();
  const std::string why = why_ended();
  if (!why.empty()) return lose(why);
  leave();
  if (state_ != State::closed) close(true);
}

// Empty: in order, since both know that nothing more is to come.
std::string Connection::why_ended() const {
  const bool in_order = ready_ && (goaway_received_ || draining_) && http2_.open_streams() == 0;
  if (in_order) return {};
  if (send_error_ != 0) return words_of(send_error_);
  if (tls_ && !tls_->failure().empty()) return tls_->failure();
  if (!ready_) {
    // OpenSSL has no alert for who does not speak TLS.
    const bool may_want_tls = !tls_ && http2_.role() == http2::Endpoint::Role::near &&
                              other_end_speaks_ == DetectedProtocol::none_yet;
    return std::string("the other side closed the connection before HTTP/2 was ready") +
           (may_want_tls ? "; if it expects TLS, write tls = { ... } in [[tunnel]]" : "");
  }
  if (goaway_received_) return "the other side closed the connection before its streams had ended";
  return "the other side closed the connection without GOAWAY";
}

}  // namespace finhold::tunnel
