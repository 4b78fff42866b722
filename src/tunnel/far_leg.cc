#include "tunnel/far_leg.h"

#include <cerrno>

#include "tunnel/far_answer.h"

namespace finhold::tunnel {

using core::Ending;

FarLeg::FarLeg(Transport& transport, http2::Stream& stream) {
  stream.set_events(*this);
  carry(transport, stream);
  open_way_in();
}

FarLeg::~FarLeg() { on_closed(); }

void FarLeg::on_closed() {
  opened.place.reset();
  if (FarConnection* const by = std::exchange(opened.by, nullptr)) by->remove(*this);
}

void FarLeg::revoke() {
  if (stream() == nullptr) return;
  stream()->reset(http2::ErrorCode::connect_error);
  let_go();
  fail(ECONNRESET, Ending::not_allowed);
  tell_owner_later();
}

void FarLeg::accept() {
  opened.place.reset();
  if (stream() == nullptr) return;
  stream()->respond(200);
  touch();
}

void FarLeg::on_reset(http2::ErrorCode code) {
  if (code == http2::ErrorCode::no_error) closed_at_ = std::chrono::steady_clock::now();
  StreamLeg::on_reset(code);
}

bool FarLeg::check_answers(std::uint64_t vanished_after_ms) {
  if (!closed_at_ || !ended() || failed() != 0) return false;
  const auto since = std::chrono::steady_clock::now() - *closed_at_;
  if (since < std::chrono::milliseconds(vanished_after_ms)) return false;
  fail(ECONNRESET, Ending::client_reset);
  // All of a near end may be found in the same look.
  tell_owner_later();
  return false;
}

void FarLeg::refuse(Ending why) {
  if (stream() != nullptr) {
    const FarAnswer answer = far_answer(why);
    stream()->respond(answer.status, answer.error);
  }
  close_now();
}

}  // namespace finhold::tunnel
