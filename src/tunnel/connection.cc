#include "tunnel/connection.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <sys/socket.h>
#include <utility>

#include "base/duration.h"
#include "net/socket.h"
#include "tunnel/connection_table.h"

namespace finhold::tunnel {

namespace {

// What one connection may move in a turn before others have theirs.
constexpr std::size_t most_read = std::size_t{1} << 20;
constexpr std::size_t most_written = std::size_t{2} << 20;
// What is received at once: at first, and of who makes much work of few bytes. Of strangers never
// more than the first.
constexpr std::size_t first_received = std::size_t{2} << 10;
constexpr std::size_t least_received = std::size_t{1} << 10;

// What is made at once for a socket that was full, and what that takes before it can send it:
// neither can be overtaken by a small stream, nor by a PING. As much as goes within patience_ms.
constexpr std::size_t chunk_of_fast_links = std::size_t{128} << 10;
constexpr std::size_t chunk_of_slow_links = std::size_t{16} << 10;
constexpr net::Instant patience_ms = 100;

// More than TLS has to say beside its records leaves no room for these.
constexpr std::size_t most_beside = std::size_t{32} << 10;

net::Instant instant(base::Milliseconds duration) {
  return static_cast<net::Instant>(duration.count());
}

std::string words_of(int error) {
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

Http2Settings with_window(Http2Settings settings, std::size_t window) {
  const auto twice = static_cast<std::uint32_t>(std::min<std::size_t>(2 * window, INT32_MAX));
  settings.connection_window = std::max(settings.connection_window, twice);
  return settings;
}

}  // namespace

Connection::Connection(ConnectionTable& table, net::Descriptor socket,
                       const base::Address& other_end, const ConnectionOptions& options,
                       Owner& owner)
    : net::Timer(table.timers_),
      table_(table),
      owner_(owner),
      fd_(std::move(socket)),
      other_end_(other_end),
      http2_(options.role, with_window(options.http2, table.pool_.block_size()), table.pool_,
             *this),
      received_at_once_(first_received),
      chunk_(chunk_of_fast_links),
      least_chunk_(chunk_of_fast_links),
      life_(options.life),
      ready_time_(table.loop_.now(), options.ready_within_ms),
      goodbye_ms_(options.goodbye_ms),
      heard_at_(table.loop_.now()),
      is_known_(options.role == Http2::Role::near) {
  if (options.tls != nullptr) tls_.emplace(*options.tls);
}

Connection::~Connection() { table_.poller_.forget(*this); }

// An error waits for the end of the turn, as any other end of a connection.
void Connection::begin(bool registered) {
  net::set_most_unsent(fd_.get(), least_chunk_);
  const base::Error error = registered
                                ? table_.poller_.change(fd_.get(), net::Poller::every_edge, *this)
                                : table_.poller_.add(fd_.get(), net::Poller::every_edge, *this);
  if (error.code != 0) {
    send_error_ = error.code;
    to_cut_ = true;
  }
  arm(ready_time_.end());
  table_.queue(*this);
}

Http2Stream* Connection::open(const ConnectRequest& request, Http2Stream::Events& events) {
  if (!can_open()) return nullptr;
  Http2Stream* const stream = http2_.open(request, events);
  // One that goes before the turn has ended leaves room too, of which the owner is to be told.
  room_streams_ = streams();
  touch();
  return stream;
}

bool Connection::can_open() const {
  return state_ == State::open && ready_ && !lost_ && !draining_ && !to_cut_ && http2_.can_open();
}

// Also of one that is closed: it may have been its last stream.
void Connection::touch() { table_.queue(*this); }

void Connection::drain() {
  if (state_ != State::open || draining_) return;
  draining_ = true;
  if (ready_) {
    http2_.drain();
    touch();
  } else {
    cut();
  }
}

void Connection::refuse_new() {
  if (state_ != State::open || !draining_ || !ready_) return;
  http2_.refuse_new();
  touch();
}

void Connection::prove() {
  if (state_ == State::open) is_known_ = true;
  http2_.prove();
}

void Connection::cut() {
  to_cut_ = true;
  stop_waiting();
  touch();
}

std::string Connection::identity() const { return tls_ ? tls_->other_side() : std::string(); }

bool Connection::is_believed_by(const TlsContext& tls) const {
  return tls_ && tls_->would_be_believed_by(tls);
}

void Connection::on_ready(std::uint32_t events) {
  if ((events & EPOLLOUT) != 0) {
    if (!writable_) room_came();
    writable_ = true;
    table_.queue(*this);
  }
  if ((events & ~std::uint32_t{EPOLLOUT}) == 0) return;
  readable_ = true;
  // A short read has emptied the socket, but for an end, an error, or what is behind an urgent
  // byte.
  if ((events & ~std::uint32_t{EPOLLOUT | EPOLLIN}) != 0) to_the_end_ = true;
  receive();
}

// What the end of a turn is for. A connection that is closed comes here too.
void Connection::turn() {
  if (state_ == State::closed) return;
  const std::uint64_t told = http2_.told();
  if (to_cut_) return state_ == State::open ? cut_now() : close(true);
  if (readable_) receive();
  if (state_ == State::open || state_ == State::leaving) flush();
  if (state_ == State::open && tls_ && tls_->is_over()) fail(tls_->failure());
  if (state_ == State::open && http2_.finished() && !pending()) leave();
  if (state_ == State::leaving && !pending()) say_goodbye();
  if (state_ == State::open) tell_room();
  if (http2_.told() != told) table_.told_ = true;
}

// A turn ends by bytes or by time: a request, or a message of TLS itself, costs far more than its
// few bytes. What is received at once follows that.
void Connection::read() {
  using Clock = std::chrono::steady_clock;
  const auto longest_read =
      table_.is_behind_ ? ConnectionTable::longest_read_behind : ConnectionTable::longest_read;
  std::size_t left = is_known_ ? most_read : first_received;
  Clock::duration spent{};
  while (readable_) {
    if (left == 0 || spent >= longest_read) return table_.queue(*this);
    const std::span<std::byte> room(table_.wire_.get(),
                                    is_known_ ? received_at_once_ : first_received);
    const ssize_t result = ::recv(fd_.get(), room.data(), room.size(), 0);
    if (result > 0) {
      const auto count = static_cast<std::size_t>(result);
      left -= std::min(left, count);
      readable_ = to_the_end_ || count == room.size();
      const auto before = Clock::now();
      take(room.first(count));
      const auto took = Clock::now() - before;
      spent += took;
      if (is_known_) table_.read_time_ += took;
      if (took >= longest_read) {
        received_at_once_ = std::max(received_at_once_ / 4, least_received);
      } else if (4 * took < longest_read) {
        received_at_once_ = std::min(2 * received_at_once_, ConnectionTable::most_received);
      }
    } else if (result == 0) {
      readable_ = false;
      other_side_ended();
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      readable_ = to_the_end_ = false;
    } else if (errno != EINTR) {
      readable_ = false;
      if (send_error_ == 0) send_error_ = errno;
      other_side_ended();
    }
  }
}

void Connection::take(std::span<const std::byte> bytes) {
  if (state_ != State::open || to_cut_) return;  // all is said
  heard_at_ = table_.loop_.now();
  unanswered_ = 0;
  if (first_bytes_ == FirstBytes::none_yet) first_bytes_ = first_bytes(bytes);
  if (tls_) {
    decrypt(bytes);
  } else {
    feed(bytes);
  }
  // It has nearly always drawn an answer: window for more, at least.
  touch();
}

void Connection::decrypt(std::span<const std::byte> ciphertext) {
  const std::span<std::byte> room(table_.plain_.get(), ConnectionTable::most_received);
  for (bool more = true; more && state_ == State::open;) {
    const TlsSession::Moved moved = tls_->read(ciphertext, room);
    ciphertext = ciphertext.subspan(moved.taken);
    if (moved.made > 0) feed(room.first(moved.made));
    more = moved.made == room.size();
  }
  if (state_ != State::open || !tls_->is_over()) return;
  if (tls_->state() == TlsState::ended) return other_side_ended();
  fail(tls_->failure());
}

void Connection::feed(std::span<const std::byte> bytes) {
  if (!http2_.feed(bytes, table_.loop_.now())) {
    fail("HTTP/2: " + std::string(http2_.failed()));
  } else if (goaway_ != Http2Code::no_error) {
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
    const bool may_want_tls =
        !tls_ && http2_.role() == Http2::Role::near && first_bytes_ == FirstBytes::none_yet;
    return std::string("the other side closed the connection before HTTP/2 was ready") +
           (may_want_tls ? "; if it expects TLS, write tls = { ... } in [[tunnel]]" : "");
  }
  if (goaway_received_) return "the other side closed the connection before its streams had ended";
  return "the other side closed the connection without GOAWAY";
}

// Makes and sends until there is nothing more, or the socket is full.
void Connection::flush() {
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
  const bool stands = !tls_ || tls_->state() == TlsState::open;
  return stands && state_ == State::open && http2_.wants_write();
}

// Whether there is something that the other side is to get.
bool Connection::pending() const {
  return !kept_.empty() || (tls_ && tls_->has_output()) || may_produce();
}

void Connection::on_settings() {
  if (ready_) return;  // tell_room() sees what has changed
  ready_ = true;
  arm(table_.loop_.now() + instant(life_.ping_every));
  could_open_ = true;
  table_.told_ = true;
  owner_.on_ready(*this);
}

void Connection::on_connect(Http2Stream& stream, const ConnectRequest& request) {
  table_.told_ = true;
  owner_.on_connect(*this, stream, request);
}

void Connection::on_goaway(std::int32_t /*last_stream*/, Http2Code code) {
  if (code != Http2Code::no_error) goaway_ = code;
  if (std::exchange(goaway_received_, true)) return;
  table_.told_ = true;
  owner_.on_goaway(*this);
}

void Connection::tell_room() {
  if (http2_.role() == Http2::Role::far) return;
  const bool can = can_open();
  const bool fewer = streams() < room_streams_;
  const bool changed = can ? !could_open_ || fewer : streams() == 0 && (could_open_ || fewer);
  could_open_ = can;
  room_streams_ = streams();
  if (!changed || !ready_) return;
  table_.told_ = true;
  owner_.on_room(*this);
}

// The socket was full, and half of what it takes has gone meanwhile.
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
    better = why_no_match(http2_.role(), tls_.has_value(), first_bytes_);
  }
  owner_.on_closed(*this, better.empty() ? why : better);
}

}  // namespace finhold::tunnel
