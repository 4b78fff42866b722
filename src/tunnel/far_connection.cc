#include "tunnel/far_near_end.h"

#include <utility>

#include "tunnel/far_leg.h"
#include "tunnel/forwarded.h"

namespace finhold::tunnel {

FarNearEnd::~FarNearEnd() {
  for (FarLeg* leg : legs_) leg->opened.by = nullptr;
}

void FarNearEnd::prove() {
  if (std::exchange(is_proven_, true)) return;
  if (connection_ != nullptr) connection_->prove();
  owner_.on_near_end_proven(*this);
}

void FarNearEnd::add(FarLeg& leg) {
  leg.opened.by = this;
  leg.opened.slot = legs_.size();
  legs_.push_back(&leg);
}

void FarNearEnd::remove(const FarLeg& leg) {
  FarLeg* const last = legs_.back();
  legs_[leg.opened.slot] = last;
  last->opened.slot = leg.opened.slot;
  legs_.pop_back();
}

void FarNearEnd::start(ConnectionTable& connections, net::Descriptor socket,
                       const ConnectionOptions& options) {
  connection_ = &connections.start(std::move(socket), false, address_, options,
                                   static_cast<Connection::Owner&>(*this));
}

void FarNearEnd::on_ready(Connection& connection) {
  was_ready_ = true;
  identity_ = connection.identity();
  owner_.on_near_end_ready(*this);
}

void FarNearEnd::on_connect(Connection& connection, Http2Stream& stream,
                            const ConnectRequest& request) {
  ++streams_;
  const auto client = forwarded_client(request.forwarded);
  owner_.on_request({*this, connection, stream, address_, client ? *client : address_,
                     std::string(request.authority)},
                    request.token);
}

void FarNearEnd::on_refused(Connection& /*connection*/, std::string_view authority, int status) {
  owner_.on_malformed_request(*this, authority, status);
}

// It is the near end that opens streams, and it that closes after its GOAWAY.
void FarNearEnd::on_room(Connection& /*connection*/) {}
void FarNearEnd::on_goaway(Connection& /*connection*/) {}

void FarNearEnd::on_closed(Connection& /*connection*/, const std::string& why) {
  owner_.on_near_end_gone(*this, why);
}

}  // namespace finhold::tunnel
