// What a connection sends: made as the socket takes it, so that nothing waits long in front of a
// small stream or a PING.
#include <algorithm>
#include <cerrno>
#include <sys/socket.h>

#include "net/socket.h"
#include "tunnel/connection.h"
#include "tunnel/connection_table.h"

namespace finhold::tunnel {

namespace {

// What one connection may move in a turn before others have theirs.
constexpr std::size_t most_written = std::size_t{2} << 20;

// What is made at once for a socket that was full, and what that takes before it can send it:
// neither can be overtaken by a small stream, nor by a PING. As much as goes within patience_ms,
// between this and chunk_of_fast_links.
constexpr std::size_t chunk_of_slow_links = std::size_t{16} << 10;
constexpr net::Instant patience_ms = 100;

// More than TLS has to say beside its records leaves no room for these.
constexpr std::size_t most_beside = std::size_t{32} << 10;

}  // namespace

// Makes and sends until there is nothing more, or the socket is full. Nothing behind what could not
// be sent: the other side would take that for the next bytes.
void Connection::flush() {
  if (send_error_ != 0) return;
  for (std::size_t left = most_written; writable_ && pending();) {
    if (left == 0) return table_.queue(*this);
    std::span<const std::byte> bytes = std::span(kept_).subspan(kept_begin_);
    if (bytes.empty()) bytes = make();
    if (bytes.empty()) return;
    left -= std::min(left, bytes.size());
    const bool from_kept = !kept_.empty();
    if (!send(bytes)) return;
    if (from_kept) {
      kept_ = {};
      kept_begin_ = 0;
    } else {
      chunk_ = std::min(2 * chunk_, ConnectionTable::most_sent);
    }
  }
}

// Into the table's memory. Empty: nothing more to say.
std::span<const std::byte> Connection::make() {
  const std::span<std::byte> wire(table_.wire_.get(), ConnectionTable::wire_size);
  std::size_t made = 0;
  if (!tls_) {
    made = http2_.produce(wire.first(chunk_));
  } else {
    made = tls_->write({}, wire).made;
    if (made > most_beside || tls_->has_output() || !may_produce()) return wire.first(made);
    const std::span<std::byte> plain(table_.plain_.get(), chunk_);
    const std::size_t count = http2_.produce(plain);
    if (count == 0) return wire.first(made);
    made +=
        tls_->write(plain.first(count), wire.subspan(made)).made;  // all of it, or it has failed
  }
  // Nothing overtakes a PING but what was made before.
  if (asked_until_ == not_made) asked_until_ = sent_ + made;
  return wire.first(made);
}

// False: the socket has not taken all, and tells when there is room; or it has failed.
bool Connection::send(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t result = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (result >= 0) {
      const auto count = static_cast<std::size_t>(result);
      bytes = bytes.subspan(count);
      sent_ += count;
      // A short write has filled the send buffer; room in it brings an edge.
      if (bytes.empty()) return true;
    } else if (errno == EINTR) {
      continue;
    } else if (errno != EAGAIN && errno != EWOULDBLOCK) {
      // What came before it may say why: it is read first, up to the end.
      send_error_ = errno;
      writable_ = false;
      readable_ = to_the_end_ = true;
      table_.queue(*this);
      return false;
    }
    break;
  }
  writable_ = false;
  full_at_ = table_.loop_.now();
  chunk_ = least_chunk_;
  if (kept_.empty()) {
    kept_.assign(bytes.begin(), bytes.end());
  } else {
    kept_begin_ = kept_.size() - bytes.size();
  }
  return false;
}

bool Connection::may_produce() const {
  const bool stands = !tls_ || tls_->state() == tls::State::open;
  return stands && state_ == State::open && http2_.wants_write();
}

// Whether there is something that the other side is to get.
bool Connection::pending() const {
  return !kept_.empty() || (tls_ && tls_->has_output()) || may_produce();
}

// The socket was full, and half of what it takes has gone meanwhile.
//
// It takes little (TCP_NOTSENT_LOWAT), since what is in it, or made and kept for it, cannot be
// overtaken by another stream. (2026-11-27; tests/integration/pair/test_pair_liveness.py, on a slow
// link.)
void Connection::room_came() {
  const net::Instant passed = table_.loop_.now() - full_at_;
  const std::size_t gone = least_chunk_ / 2;
  const std::size_t in_time = gone * patience_ms / std::max<net::Instant>(passed, 1);
  // Not for every small change.
  const bool is_slower = in_time < least_chunk_ / 2;
  if (!is_slower && in_time < 2 * least_chunk_) return;
  const std::size_t now = std::clamp(in_time, chunk_of_slow_links, chunk_of_fast_links);
  if (now == least_chunk_) return;
  least_chunk_ = now;
  chunk_ = std::min(chunk_, now);
  net::set_most_unsent(fd_.get(), now);
}

}  // namespace finhold::tunnel
