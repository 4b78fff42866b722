// A session whose server is dialed. What the client sends meanwhile, and its FIN, wait in the
// kernel.
#include <utility>

#include "relay/interception.h"
#include "relay/session.h"
#include "relay/session_log.h"
#include "relay/session_table.h"

namespace finhold::relay {

using base::Side;

// To one of `servers`; the route's, if there are none.
void Session::dial(const std::vector<base::Address>& servers) {
  phase_ = Phase::dialing;
  if (auto server = table_->leg_to_server(*this)) {
    take(Side::server, std::move(server));
    const auto header = announcement();
    return header ? relay(*header) : abort(core::Ending::local_error);
  }
  stamps_.phase = now();
  dialer_ = std::make_unique<net::Dialer>(
      table_->loop(), table_->poller(), table_->timers(), table_->resolver(),
      static_cast<net::Dialer::Owner&>(*this), dial_options(*route_, client_));
  if (servers.empty()) return dialer_->start(route_->server);
  dialer_->start(servers);
}

// Something has come from the client. Bytes and an end wait; an abort does not, unless bytes came
// before it (R4).
void Session::client_waits() {
  Leg& client = leg(Side::client);
  if (client.failed() == 0 || client.holds_bytes()) return;
  abort(client.ending_of_failure(Side::client));
}

void Session::on_dialed(net::Descriptor fd, base::Address server, bool registered) {
  table_->note_dial(*this, now() - stamps_.phase);
  // With the client's own address a connection of ours looks like the client's next one.
  if (route_->intercept != Intercept::none && route_->source.kind != Source::Kind::client) {
    const auto own = net::local_address(fd.get());
    if (!own.ok()) return abort(core::Ending::local_error);
    own_dial_ = table_->own_dials().add(own.value(), server);
  }
  dialer_.reset();
  if (by_tunnel()) server_ = server;
  const auto header = announcement();
  server_known_ = true;
  server_ = server;
  if (!header || tcp_legs_[base::index(Side::server)].open(std::move(fd), registered).code != 0) {
    on_leg_closing(Side::server);
    return abort(core::Ending::local_error);
  }
  leg(Side::client).accept();
  relay(*header);
}

// R5: the client never sees a clean end of nothing.
void Session::on_dial_failed(base::Error error, bool unresolved) {
  table_->note_dial(*this, now() - stamps_.phase);
  if (const auto left_out = table_->dial_failures().take(now())) {
    log_dial_failure(*this, error, unresolved, *left_out);
  }
  abort(unresolved ? core::Ending::server_unresolved : core::ending_of_failed_dial(error));
}

}  // namespace finhold::relay
