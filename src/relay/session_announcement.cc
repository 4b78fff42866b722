// The headers of the PROXY protocol (net/proxy_protocol.h) of a session: what its client says of
// itself before anything else, and what its server is told.
#include <optional>
#include <string>

#include "net/proxy_protocol.h"
#include "relay/session.h"
#include "relay/session_log.h"
#include "relay/session_table.h"

namespace finhold::relay {

using base::Side;

namespace {

// The specification asks for 3 s at least, so that one segment may be lost (proxy-protocol.txt, 2).
constexpr core::Instant announced_within_ms = 5'000;

}  // namespace

void Session::await_announcement() {
  phase_ = Phase::announcing;
  arm(now() + announced_within_ms);
}

// What the client says of itself must be whole before anything else is done. It is left in the
// kernel until then, so that not one byte behind it is taken.
void Session::read_announcement() {
  TcpLeg& from = tcp_legs_[base::index(Side::client)];
  const auto bytes = table_->scratch().buffer().first(net::longest_proxy_header);
  const TcpLeg::Peek peek = from.peek(bytes);
  const auto header = net::read_proxy_header(bytes.first(peek.count));
  const bool whole = header.what != net::ProxyHeaderRead::What::invalid &&
                     header.what != net::ProxyHeaderRead::What::needs_more;
  if (from.failed() != 0 && !whole) return abort(from.ending_of_failure(Side::client));
  if (header.what == net::ProxyHeaderRead::What::invalid)
    return refuse_announcement(header.mistake);
  if (header.what == net::ProxyHeaderRead::What::needs_more) {
    if (peek.ended) refuse_announcement("the client ended before the header was complete");
    return;
  }
  if (!from.skip(bytes.first(header.length))) return abort(core::Ending::local_error);
  // As while dialing: bytes behind the header are not taken back by a reset behind them (R4).
  if (from.failed() != 0 && !from.holds_bytes()) return abort(from.ending_of_failure(Side::client));
  if (header.addresses) {
    via_ = std::make_unique<base::Address>(client_);
    client_ = header.addresses->source;
    server_ = header.addresses->destination;
    announced_ = true;
  }
  disarm();
  if (admit()) dial({});
}

void Session::refuse_announcement(const char* why) {
  if (const auto left_out = table_->refusals().take(now())) log_bad_header(*this, why, *left_out);
  abort(core::Ending::bad_proxy_header);
}

// What is said of the client to the server; empty if nothing is to be, and none if it is not known.
// Before server_ is the one that was dialed.
std::optional<std::string> Session::announcement() const {
  if (route_->send_proxy == ProxyHeader::none) return std::string();
  const auto version =
      route_->send_proxy == ProxyHeader::v1 ? net::ProxyVersion::v1 : net::ProxyVersion::v2;
  if (announced_ || server_known_) return net::proxy_header(version, {client_, server_});
  const auto here = tcp_legs_[base::index(Side::client)].local_address();
  if (!here.ok()) return std::nullopt;
  return net::proxy_header(version, {client_, here.value()});
}

}  // namespace finhold::relay
