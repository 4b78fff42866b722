#include "tunnel/near_connection.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "net/dial_source.h"

namespace finhold::tunnel {
namespace {

std::string why_not_dialed(const base::Error& error, bool unresolved) {
  if (unresolved && error.code == 0) return "the name in far has no address";
  if (unresolved) return "the name in far cannot be looked up: " + error.text();
  const char* const capability = net::missing_capability(error);
  if (capability != nullptr) return error.text() + ": it needs " + capability;
  return error.text();
}

}  // namespace

NearConnection::NearConnection(const Shared& shared)
    : shared_(shared),
      give_up_at_(shared.loop.now() + net::instant(shared.settings.connect_timeout)) {}

void NearConnection::dial() {
  net::DialOptions options;
  options.timeout_ms = net::instant(shared_.settings.connect_timeout);
  options.mark = shared_.settings.mark;
  dialer_.emplace(shared_.loop, shared_.poller, shared_.timers, shared_.resolver,
                  static_cast<net::Dialer::Owner&>(*this), options);
  dialer_->start(shared_.settings.far);
}

void NearConnection::dismiss() {
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

void NearConnection::on_dialed(net::Descriptor fd, base::Address server, bool registered) {
  const net::Instant now = shared_.loop.now();
  ConnectionOptions options;
  options.role = http2::Endpoint::Role::near;
  options.http2.max_streams = shared_.settings.streams_per_connection;
  options.tls = shared_.tls;
  options.life = shared_.settings.life;
  // One time for all that has to happen before a session can use it.
  options.ready_within_ms = give_up_at_ > now ? give_up_at_ - now : 1;
  connection_ = &shared_.connections.start(std::move(fd), registered, server, options,
                                           static_cast<Connection::Owner&>(*this));
  dialer_.reset();
}

void NearConnection::on_dial_failed(base::Error error, bool unresolved) {
  shared_.owner.on_link_over(*this, why_not_dialed(error, unresolved));
}

void NearConnection::on_ready(Connection& /*connection*/) {
  ready_at_ = shared_.loop.now();
  shared_.owner.on_link_ready(*this);
}

// The far side opens no streams: nghttp2 refuses that.
void NearConnection::on_connect(Connection& /*connection*/, http2::Stream& stream,
                                const http2::ConnectRequest& /*request*/) {
  stream.forget();
}

void NearConnection::on_room(Connection& /*connection*/) { shared_.owner.on_link_changed(*this); }

void NearConnection::on_goaway(Connection& /*connection*/) { shared_.owner.on_link_retired(*this); }

void NearConnection::on_closed(Connection& /*connection*/, const std::string& why) {
  connection_ = nullptr;
  shared_.owner.on_link_over(*this, why);
}

}  // namespace finhold::tunnel
