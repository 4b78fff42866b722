#include "tunnel/stream_leg.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include <climits>

#include "base/check.h"

namespace finhold::tunnel {

using core::Ending;

// Without an order to close it is a reset, like a socket that is closed with SO_LINGER {1, 0}.
StreamLeg::~StreamLeg() {
  if (stream_ != nullptr) stream_->reset(http2::ErrorCode::connect_error);
  let_go();
}

void StreamLeg::carry(Transport& transport, http2::Stream& stream) {
  FINHOLD_CHECK(open_ && stream_ == nullptr);
  transport_ = &transport;
  stream_ = &stream;
  readable_ = !stream.readable().empty() || stream.ended();
  if (written_) stream.write_again(*std::exchange(written_, std::nullopt));
  transport.touch();
}

void StreamLeg::step_back() {
  http2::RingBuffer written = stream_->take_written();
  let_go();
  written_ = std::move(written);
  way_in_ = sent_ = writable_ = false;
}

void StreamLeg::open_way_in() {
  way_in_ = true;
  writable_ = true;
  if (fin_) finish();
}

void StreamLeg::fail(int code, Ending why) {
  if (error_ != 0) return;
  error_ = code;
  why_failed_ = why;
  // What came before can still be read.
  readable_ = !ended_;
}

void StreamLeg::let_go() {
  written_.reset();
  if (stream_ == nullptr) return;
  std::exchange(stream_, nullptr)->forget();
  transport_->touch();
}

relay::Leg::Read StreamLeg::read(std::span<std::byte> into) {
  std::size_t count = 0;
  while (stream_ != nullptr && count < into.size()) {
    const auto piece = stream_->readable();
    const auto now = piece.first(std::min(piece.size(), into.size() - count));
    if (now.empty()) break;
    std::memcpy(into.data() + count, now.data(), now.size());
    stream_->consumed(now.size());
    count += now.size();
  }
  const bool at_end = stream_ != nullptr && stream_->ended();
  if (count > 0) {
    transport_->touch();  // the window that is given back
    readable_ = error_ != 0 || at_end || !stream_->readable().empty();
    return {Read::What::bytes, count};
  }
  readable_ = false;
  // R4: an end that came before the failure is one, whatever came later.
  if (!at_end) return {error_ != 0 ? Read::What::failed : Read::What::nothing};
  ended_ = true;
  if (stream_->dropped()) fail_as_closed();
  return {Read::What::end};
}

std::size_t StreamLeg::write(std::span<const std::byte> bytes, bool /*urgent*/) {
  FINHOLD_CHECK(!fin_);
  if (other_takes_nothing_ && !bytes.empty()) fail_as_closed();
  std::size_t taken = 0;
  if (way_in_ && stream_ != nullptr && error_ == 0) {
    taken = stream_->write(bytes);
    if (taken > 0) transport_->touch();
  }
  if (taken < bytes.size()) writable_ = false;
  return taken;
}

// Bytes go to who takes nothing more: as to a TCP connection whose other end has closed.
void StreamLeg::fail_as_closed() {
  if (error_ != 0) return;
  failed_by_reset_ = true;
  fail(EPIPE, why_failed_);
}

void StreamLeg::send_fin() {
  FINHOLD_CHECK(!fin_);
  fin_ = true;
  if (way_in_) finish();
}

void StreamLeg::finish() {
  // Who takes nothing more has no use for an end either.
  if (stream_ == nullptr || error_ != 0 || other_takes_nothing_) {
    sent_ = true;
    return;
  }
  stream_->finish();
  transport_->touch();
}

bool StreamLeg::holds_bytes() const { return stream_ != nullptr && !stream_->readable().empty(); }

bool StreamLeg::end_arrived() const {
  return ended_ || (stream_ != nullptr && stream_->end_arrived());
}

int StreamLeg::unacknowledged() const { return undelivered() + (fin_ && !sent_ ? 1 : 0); }

int StreamLeg::undelivered() const {
  std::size_t unsent = 0;
  if (stream_ != nullptr) unsent = stream_->unsent();
  if (written_) unsent = written_->size();
  return static_cast<int>(std::min<std::size_t>(unsent, INT_MAX));
}

bool StreamLeg::delivered() const {
  if (stream_ != nullptr && stream_->dropped()) return false;
  return error_ == 0 && undelivered() == 0;
}

bool StreamLeg::close_in_order(bool /*delivered*/) {
  if (error_ == 0) {
    if (!fin_) send_fin();
    if (undelivered() > 0 && !sent_) return false;
  }
  close_now();
  return true;
}

// Both sides have ended, so the stream sends what was written before it goes.
void StreamLeg::close_now() {
  if (!open_) return;
  if (!fin_ && error_ == 0) send_fin();
  close();
}

void StreamLeg::reset() {
  if (!open_) return;
  if (stream_ != nullptr) stream_->reset(http2::ErrorCode::connect_error);
  close();
}

void StreamLeg::close() {
  open_ = readable_ = writable_ = false;
  leave();
  let_go();
  on_closed();
}

Ending StreamLeg::ending_of_failure(base::Side side) const {
  return failed_by_reset_ ? core::ending_of_failed_leg(side, error_) : why_failed_;
}

void StreamLeg::on_readable() {
  readable_ = !ended_;
  tell_owner();
}

void StreamLeg::on_writable() {
  writable_ = true;
  tell_owner();
}

void StreamLeg::on_sent() {
  sent_ = true;
  tell_owner();
}

void StreamLeg::on_reset(http2::ErrorCode code) {
  if (code == http2::ErrorCode::no_error) {
    // What arrived is read at the reader's own pace. Somebody who waits for room shall learn that
    // there is none.
    other_takes_nothing_ = true;
    sent_ = true;
    writable_ = true;
    if (ended_ && stream_->dropped()) fail_as_closed();
  } else {
    // A stream that was not even looked at is a loss too: a GOAWAY has overtaken it.
    failed_by_reset_ = !transport_->lost() && code != http2::ErrorCode::refused_stream;
    fail(ECONNRESET, Ending::tunnel_lost);
  }
  tell_owner_later();
}

}  // namespace finhold::tunnel
