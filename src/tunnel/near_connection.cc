#include "tunnel/near_link.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "net/dial_source.h"

namespace finhold::tunnel {
namespace {

net::Instant in_ms(base::Milliseconds time) { return static_cast<net::Instant>(time.count()); }

std::string why_not_dialed(const base::Error& error, bool unresolved) {
  if (unresolved && error.code == 0) return "the name in far has no address";
  if (unresolved) return "the name in far cannot be looked up: " + error.text();
  const char* const capability = net::missing_capability(error);
  if (capability != nullptr) return error.text() + ": it needs " + capability;
  return error.text();
}

}  // namespace

NearLink::NearLink(const Shared& shared)
    : shared_(shared), give_up_at_(shared.loop.now() + in_ms(shared.settings.connect_timeout)) {}

void NearLink::dial() {
  net::DialOptions options;
  options.timeout_ms = in_ms(shared_.settings.connect_timeout);
  options.mark = shared_.settings.mark;
  dialer_.emplace(shared_.loop, shared_.poller, shared_.timers, shared_.resolver,
                  static_cast<net::Dialer::Owner&>(*this), options);
  dialer_->start(shared_.settings.far);
}

void NearLink::dismiss() {
  dismissed = true;
  if (connection_ == nullptr) {
    dialer_.reset();
    return shared_.owner.on_link_over(*this, "");
  }
  if (was_ready()) {
    connection_->drain();
  } else {
    connection_->cut();
  }
}

void NearLink::on_dialed(net::Descriptor fd, base::Address server, bool registered) {
  const net::Instant now = shared_.loop.now();
  ConnectionOptions options;
  options.role = Http2::Role::near;
  options.http2.max_streams = shared_.settings.streams_per_connection;
  options.tls = shared_.tls;
  options.life = shared_.settings.life;
  // One time for all that has to happen before a session can use it.
  options.ready_within_ms = give_up_at_ > now ? give_up_at_ - now : 1;
  connection_ = &shared_.connections.start(std::move(fd), registered, server, options,
                                           static_cast<Connection::Owner&>(*this));
  dialer_.reset();
}

void NearLink::on_dial_failed(base::Error error, bool unresolved) {
  shared_.owner.on_link_over(*this, why_not_dialed(error, unresolved));
}

void NearLink::on_ready(Connection& /*connection*/) {
  ready_at_ = shared_.loop.now();
  shared_.owner.on_link_ready(*this);
}

// The far side opens no streams: nghttp2 refuses that.
void NearLink::on_connect(Connection& /*connection*/, Http2Stream& stream,
                          const ConnectRequest& /*request*/) {
  stream.forget();
}

void NearLink::on_room(Connection& /*connection*/) { shared_.owner.on_link_changed(*this); }

void NearLink::on_goaway(Connection& /*connection*/) { shared_.owner.on_link_retired(*this); }

void NearLink::on_closed(Connection& /*connection*/, const std::string& why) {
  connection_ = nullptr;
  shared_.owner.on_link_over(*this, why);
}

}  // namespace finhold::tunnel
