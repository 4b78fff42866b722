#include "tunnel/connection.h"

#include <algorithm>
#include <utility>

#include "base/network.h"
#include "net/socket.h"
#include "tunnel/connection_table.h"

namespace finhold::tunnel {

namespace {

http2::Settings with_window(http2::Settings settings, std::size_t window) {
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
      source_(base::Network::of_source(other_end).hash(0)),
      http2_(options.role, with_window(options.http2, table.pool_.block_size()), table.pool_,
             *this),
      received_at_once_(first_received),
      chunk_(chunk_of_fast_links),
      least_chunk_(chunk_of_fast_links),
      life_(options.life),
      ready_time_(table.loop_.now(), options.ready_within_ms),
      goodbye_ms_(options.goodbye_ms),
      heard_at_(table.loop_.now()),
      is_known_(options.role == http2::Endpoint::Role::near) {
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

http2::Stream* Connection::open(const http2::ConnectRequest& request,
                                http2::Stream::Events& events) {
  if (!can_open()) return nullptr;
  http2::Stream* const stream = http2_.open(request, events);
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

void Connection::tell_later(ResetQueue::Entry& leg) { table_.resets_.add(leg, source_); }

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

bool Connection::is_believed_by(const tls::Context& tls) const {
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
  if (has_more()) receive();
  if (state_ == State::open || state_ == State::leaving) flush();
  if (state_ == State::open && tls_ && tls_->is_over() && !has_unprocessed()) fail(tls_->failure());
  if (state_ == State::open && http2_.finished() && !pending()) leave();
  if (state_ == State::leaving && !pending()) say_goodbye();
  if (state_ == State::open) tell_room();
  if (http2_.told() != told) table_.told_ = true;
}

void Connection::on_settings() {
  if (ready_) return;  // tell_room() sees what has changed
  ready_ = true;
  arm(table_.loop_.now() + net::instant(life_.ping_every));
  could_open_ = true;
  table_.told_ = true;
  owner_.on_ready(*this);
}

void Connection::on_connect(http2::Stream& stream, const http2::ConnectRequest& request) {
  table_.told_ = true;
  owner_.on_connect(*this, stream, request);
}

void Connection::on_goaway(std::int32_t /*last_stream*/, http2::ErrorCode code) {
  if (code != http2::ErrorCode::no_error) goaway_ = code;
  if (std::exchange(goaway_received_, true)) return;
  table_.told_ = true;
  owner_.on_goaway(*this);
}

void Connection::tell_room() {
  if (http2_.role() == http2::Endpoint::Role::far) return;
  const bool can = can_open();
  const bool fewer = streams() < room_streams_;
  const bool changed = can ? !could_open_ || fewer : streams() == 0 && (could_open_ || fewer);
  could_open_ = can;
  room_streams_ = streams();
  if (!changed || !ready_) return;
  table_.told_ = true;
  owner_.on_room(*this);
}

}  // namespace finhold::tunnel
