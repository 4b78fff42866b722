#include "tunnel/far_connection.h"

#include <functional>
#include <random>
#include <utility>

#include "base/network.h"
#include "tunnel/far_leg.h"

namespace finhold::tunnel {

FarConnection::FarConnection(Owner& owner, const base::Address& address, net::Instant now)
    : owner_(owner), address_(address), accepted_at_(now) {
  static const std::uint64_t seed = std::random_device()();
  source_ = base::Network::of_source(address).hash(seed);
}

FarConnection::~FarConnection() {
  for (FarLeg* leg : legs_) leg->opened.by = nullptr;
}

void FarConnection::prove() {
  if (std::exchange(is_proven_, true)) return;
  if (connection_ != nullptr) connection_->prove();
  owner_.on_near_end_proven(*this);
}

void FarConnection::add(FarLeg& leg) {
  leg.opened.by = this;
  leg.opened.slot = legs_.size();
  legs_.push_back(&leg);
}

void FarConnection::remove(const FarLeg& leg) {
  FarLeg* const last = legs_.back();
  legs_[leg.opened.slot] = last;
  last->opened.slot = leg.opened.slot;
  legs_.pop_back();
}

void FarConnection::start(ConnectionTable& connections, net::Descriptor socket,
                          const ConnectionOptions& options) {
  connection_ = &connections.start(std::move(socket), false, address_, options,
                                   static_cast<Connection::Owner&>(*this));
}

void FarConnection::on_ready(Connection& connection) {
  was_ready_ = true;
  identity_ = connection.identity();
  if (!identity_.empty()) source_ = std::hash<std::string>()(identity_);
  owner_.on_near_end_ready(*this);
}

void FarConnection::on_connect(Connection& connection, http2::Stream& stream,
                               const http2::ConnectRequest& request) {
  ++streams_;
  owner_.on_request({*this, connection, stream, address_, address_, std::string(request.authority)},
                    request);
}

void FarConnection::on_refused(Connection& /*connection*/, std::string_view authority, int status) {
  owner_.on_malformed_request(*this, authority, status);
}

// It is the near end that opens streams, and it that closes after its GOAWAY.
void FarConnection::on_room(Connection& /*connection*/) {}
void FarConnection::on_goaway(Connection& /*connection*/) {}

void FarConnection::on_closed(Connection& /*connection*/, const std::string& why) {
  owner_.on_near_end_gone(*this, why);
}

}  // namespace finhold::tunnel
