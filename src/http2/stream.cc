#include "http2/stream.h"

#include <array>
#include <charconv>
#include <utility>

#include <nghttp2/nghttp2.h>

#include "base/check.h"
#include "http2/callbacks.h"
#include "http2/endpoint.h"

namespace finhold::http2 {

namespace {

// A DATA frame of this much is worth an event of its own, straight out of the connection's buffer;
// smaller ones are gathered, so that many of them are written to a socket at once.
constexpr std::size_t least_direct = std::size_t{32} << 10;

}  // namespace

void Stream::respond(int status, ProxyError error) {
  FINHOLD_CHECK(http2_->role_ == Endpoint::Role::far && status_ == 0);
  FINHOLD_CHECK(status >= 200 && status <= 599);
  status_ = status;
  if (closed_ || reset_code_ || forgotten_) return;
  std::array<char, 3> digits{};
  std::to_chars(digits.data(), digits.data() + digits.size(), status);
  std::array fields = {http2_field(":status", {digits.data(), digits.size()}), nghttp2_nv{}};
  if (status < 300) {
    const nghttp2_data_provider source = http2_source(*this);
    http2_->note(nghttp2_submit_response(http2_->session_, id_, fields.data(), 1, &source));
    return;
  }
  refused_ = true;
  due_ = 0;
  in_.clear();
  direct_ = {};
  drop_written();
  if (status == 407) http2_->count_wrong_token();
  std::size_t count = 1;
  if (error != ProxyError::none) {
    fields[count++] = http2_field("proxy-status", proxy_status_of(error));
  }
  http2_->note(nghttp2_submit_response(http2_->session_, id_, fields.data(), count, nullptr));
}

std::size_t Stream::write(std::span<const std::byte> bytes) {
  FINHOLD_CHECK(!finished_);
  if (!takes()) return 0;
  const std::size_t taken = out_.append(bytes);
  short_ = taken < bytes.size();
  if (taken > 0) resume();
  return taken;
}

std::span<std::byte> Stream::room() {
  FINHOLD_CHECK(!finished_);
  if (!takes()) return {};
  short_ = out_.free() == 0;
  return out_.back();
}

void Stream::wrote(std::size_t count) {
  if (!takes()) return;
  out_.push(count);
  if (count > 0) resume();
}

bool Stream::keeps_written() const { return http2_->role_ == Endpoint::Role::near && !answered(); }

RingBuffer Stream::take_written() {
  FINHOLD_CHECK(closed_ && keeps_written());
  kept_ = 0;
  return std::move(out_);
}

void Stream::write_again(RingBuffer written) {
  FINHOLD_CHECK(out_.empty() && kept_ == 0 && written.capacity() == out_.capacity());
  if (!takes()) return;
  out_ = std::move(written);
  if (!out_.empty()) resume();
}

// That many of the bytes which were not are on their way.
void Stream::are_sent(std::size_t count) {
  if (keeps_written()) {
    kept_ += count;
  } else {
    out_.pop(count);
  }
  tell_room();
}

// By 200 to 299.
void Stream::was_answered() {
  out_.pop(std::exchange(kept_, 0));
  tell_room();
}

void Stream::tell_room() {
  if (!short_ || out_.free() < out_.capacity() / 2) return;
  short_ = false;
  http2_->due(*this, room_again);
}

void Stream::drop_written() {
  out_.clear();
  kept_ = 0;
}

void Stream::finish() {
  if (!takes()) return;
  finished_ = true;
  resume();
}

// nghttp2 forgets a stream's DATA as soon as a RST_STREAM is queued for it. So that waits here
// until the bytes are out, or until nothing more can be sent.
void Stream::reset(ErrorCode code) {
  if (closed_ || refused_ || reset_code_ || forgotten_) return;
  reset_code_ = code;
  finished_ = false;
  due_ = 0;
  in_.clear();
  direct_ = {};
  http2_->resetting_.push_back(this);
}

void Stream::consumed(std::size_t count) {
  if (direct_.empty()) {
    in_.pop(count);
  } else {
    FINHOLD_CHECK(count <= direct_.size());
    direct_ = direct_.subspan(count);
  }
  // What has ended needs no window any more.
  if (count == 0 || closed_ || remote_ended_) return;
  http2_->note(nghttp2_session_consume_stream(http2_->session_, id_, count));
}

void Stream::forget() {
  FINHOLD_CHECK(!forgotten_);
  const bool complete = finished_ && remote_ended_;
  if (!complete) reset(ErrorCode::cancel);
  forgotten_ = true;
  events_ = nullptr;
  due_ = 0;
  in_.clear();
  direct_ = {};
  if (closed_) http2_->discard(*this);
}

void Stream::resume() {
  if (!deferred_) return;
  deferred_ = false;
  http2_->note(nghttp2_session_resume_data(http2_->session_, id_));
}

// Requires that the bytes fit into in_.
void Stream::arrived(std::span<const std::byte> bytes) {
  if (!in_.empty() || bytes.size() < least_direct || events_ == nullptr) {
    in_.append(bytes);
    http2_->due(*this, read);
    return;
  }
  direct_ = bytes;
  due_ |= read;
  http2_->tell(*this);
  in_.append(direct_);  // what was not consumed; nothing if the stream was given up meanwhile
  direct_ = {};
}

}  // namespace finhold::http2
