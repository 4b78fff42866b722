// The life of a session, phase by phase; what an event does depends on the phase alone:
//
//   phase       begins with           a leg is ready          its limit, and what that does
//   announcing  await_announcement()  read_announcement()     5 s: refuse_announcement()
//   dialing     dial()                only its reset counts   connect_timeout: on_dial_failed()
//   relaying    relay()               advance()               core/deadlines.h: relaying_on_time()
//   closing     close_legs()          close_legs()            `closing`: closing_on_time()
//   retired     retire(), or abort() in any phase
//
// The first is for routes with accept_proxy; before the second the client must be admit()ted.
//
// session_announcement.cc, session_client_limits.cc, session_dialing.cc, session_relaying.cc and
// session_closing.cc have
// what a phase does; here is how one becomes the next.
#include "relay/session.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "relay/interception.h"
#include "relay/keepalive_options.h"
#include "relay/session_log.h"
#include "relay/session_table.h"

namespace finhold::relay {

using base::Side;

namespace {

constexpr std::array both_sides{Side::client, Side::server};

}  // namespace

Session::Session(SessionTable& table, const Route& route, std::uint64_t id)
    : net::Timer(table.timers()),
      table_(&table),
      route_(&route),
      id_(id),
      tcp_legs_{TcpLeg(table.poller(), *this, Side::client),
                TcpLeg(table.poller(), *this, Side::server)},
      policy_(route.fin),
      started_at_(table.loop().now()) {}

core::Instant Session::now() const { return table_->loop().now(); }

void Session::start(net::Descriptor client, const base::Address& address) {
  client_ = address;
  if (route_->intercept != Intercept::none) {
    const auto server = intended_server(*route_, client.get(), address, table_->own_dials());
    if (!server.ok()) {
      if (const auto left_out = table_->refusals().take(now())) {
        log_not_intercepted(*this, server.error(), *left_out);
      }
      return abort(core::Ending::not_intercepted);  // the socket resets when it is closed
    }
    server_ = server.value();
    server_known_ = true;
  }
  const auto contains = [&](const base::Network& network) { return network.contains(address); };
  if (route_->accept_proxy &&
      std::none_of(route_->trusted.begin(), route_->trusted.end(), contains)) {
    if (const auto left_out = table_->refusals().take(now())) log_untrusted(*this, *left_out);
    return abort(core::Ending::untrusted_proxy);
  }
  const bool repeats_often = keepalive_options(*route_, Side::client).longest_repeat_s != 0;
  auto& leg = tcp_legs_[base::index(Side::client)];
  if (leg.open(std::move(client), false, repeats_often).code != 0) {
    return abort(core::Ending::local_error);
  }
  if (route_->accept_proxy) return await_announcement();
  if (admit()) dial(server_known_ ? std::vector{server_} : std::vector<base::Address>{});
}

void Session::start(std::unique_ptr<Leg> client, const base::Address& address,
                    const std::vector<base::Address>& servers, const base::Address& via) {
  FINHOLD_CHECK(!servers.empty());
  client_ = address;
  server_ = servers.front();
  server_known_ = true;
  via_ = std::make_unique<base::Address>(via);
  take(Side::client, std::move(client));
  if (admit()) dial(servers);
}

void Session::take(Side side, std::unique_ptr<Leg> leg) {
  leg->attach(*this, side);
  taken_[base::index(side)] = std::move(leg);
}

void Session::relay(const std::string& header) {
  phase_ = Phase::relaying;
  stamps_.phase = now();
  // At once and whole, before any byte of the client, also if it says nothing. A new connection has
  // room for it, unless it has failed already, of which advance() takes care.
  Leg& to = leg(Side::server);
  if (!header.empty() && to.write(std::as_bytes(std::span(header))) < header.size() &&
      to.failed() == 0) {
    return abort(core::Ending::local_error);
  }
  advance();
}

void Session::on_leg_ready(Side /*side*/) {
  switch (phase_) {
    case Phase::announcing:
      read_announcement();
      break;
    case Phase::dialing:
      client_waits();
      break;
    case Phase::relaying:
      advance();
      break;
    case Phase::closing:
      close_legs();
      break;
    case Phase::retired:
      break;
  }
}

// Its port may be a stranger's as soon as it is closed, and the session lives on for a slow client.
void Session::on_leg_closing(Side side) {
  if (side != Side::server || own_dial_.value == 0) return;
  table_->own_dials().remove(std::exchange(own_dial_, {}));
}

void Session::on_time() {
  switch (phase_) {
    case Phase::announcing:
      refuse_announcement("the header was not complete within 5 s");
      break;
    case Phase::relaying:
      relaying_on_time();
      break;
    case Phase::closing:
      closing_on_time();
      break;
    case Phase::dialing:  // the dialer has a clock of its own
    case Phase::retired:
      break;
  }
}

void Session::check_answers() {
  if (phase_ != Phase::relaying && phase_ != Phase::closing) return;
  if (holding_ && !told_of_long_hold_) tell_of_a_long_hold();
  const auto limit = static_cast<std::uint64_t>(route_->keepalive.vanished_after().count());
  bool vanished = false;
  for (const Side side : both_sides) {
    if (leg(side).is_open()) vanished = leg(side).check_answers(limit) || vanished;
  }
  if (vanished) on_leg_ready(Side::client);
}

// Once: whoever waits for the end may never get it, which no rule can know (R3c).
void Session::tell_of_a_long_hold() {
  constexpr core::Instant long_ms = 600'000;
  constexpr core::Instant lately_ms = 60'000;
  const core::Instant other_way = stamps_.moved[base::index(base::other(first_end_))];
  if (now() - held_since_ < long_ms || now() - other_way > lately_ms) return;
  if (const auto left_out = table_->long_holds().take(now())) {
    told_of_long_hold_ = true;
    log_long_hold(*this, *left_out);
  }
}

void Session::retire() {
  phase_ = Phase::retired;
  disarm();
  if (holding_) held_ms_ = now() - held_since_;
  holding_ = false;
  for (FlowMover& mover : movers_) mover.release(table_->scratch());
  table_->gone_watch().remove(*this);
  table_->retire(*this);
}

}  // namespace finhold::relay
