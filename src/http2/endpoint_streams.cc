// The streams of one end of a connection: how they come, what is told of them, and how they go.
#include <array>
#include <string>
#include <utility>

#include <nghttp2/nghttp2.h>

#include "base/address.h"
#include "http2/callbacks.h"
#include "http2/endpoint.h"

namespace finhold::http2 {

void Endpoint::abandon_streams(ErrorCode code) {
  for (const auto& stream : streams_) closed(*stream, code);
}

// After a GOAWAY. nghttp2 refuses a request when its turn comes; but one that waits for room (a
// lower SETTINGS_MAX_CONCURRENT_STREAMS has come meanwhile) would have none, maybe never.
void Endpoint::give_up_queued() {
  for (const auto& stream : streams_) {
    if (stream->closed_ || nghttp2_session_find_stream(session_, stream->id_) != nullptr) continue;
    note(nghttp2_session_set_stream_user_data(session_, stream->id_, nullptr));
    closed(*stream, ErrorCode::refused_stream);
  }
}

void Endpoint::due(Stream& stream, unsigned what) {
  if (stream.events_ == nullptr || stream.reset_code_) return;
  if (stream.due_ == 0) due_.push_back(&stream);
  stream.due_ |= what;
}

// In the order in which it has happened. Each event may take away what is left to be told.
void Endpoint::tell(Stream& stream) {
  const auto take = [&](unsigned what) {
    const bool is_due = (stream.due_ & what) != 0;
    stream.due_ &= ~what;
    return is_due;
  };
  ++told_;
  if (take(Stream::answer)) stream.events_->on_answer(stream.status_);
  if (take(Stream::read)) stream.events_->on_readable();
  if (take(Stream::room_again)) stream.events_->on_writable();
  if (take(Stream::sent)) stream.events_->on_sent();
  if (take(Stream::aborted)) stream.events_->on_reset(stream.told_code_);
}

// nghttp2 knows the stream no more: both sides have ended, it was reset, or all is over.
void Endpoint::closed(Stream& stream, ErrorCode code) {
  if (stream.closed_) return;
  stream.closed_ = true;
  --open_;
  const bool may_be_tried_again = code == ErrorCode::refused_stream && stream.keeps_written();
  if (!may_be_tried_again) {
    stream.dropped_ = stream.unsent() > 0;
    stream.drop_written();
  }
  if (stream.reset_code_) std::erase(resetting_, &stream);
  if (stream.forgotten_) discard(stream);
  const bool in_order = stream.remote_ended_ && stream.end_sent_ && code == ErrorCode::no_error;
  if (in_order || stream.refused_) return;
  // Truncated data never looks like an end.
  const bool no_end = code == ErrorCode::no_error && !stream.remote_ended_;
  stream.told_code_ = no_end ? ErrorCode::cancel : code;
  stream.due_ &= ~static_cast<unsigned>(Stream::room_again);
  due(stream, Stream::aborted);
}

Stream& Endpoint::add_stream(Stream::Events* events) {
  streams_.push_back(std::unique_ptr<Stream>(new Stream(*this, *pool_, events)));
  streams_.back()->index_ = streams_.size() - 1;
  ++open_;
  return *streams_.back();
}

void Endpoint::discard(Stream& stream) {
  if (busy_) {
    discarded_.push_back(&stream);
  } else {
    remove(stream);
  }
}

void Endpoint::remove(Stream& stream) {
  const std::size_t index = stream.index_;
  if (index + 1 < streams_.size()) {
    std::swap(streams_[index], streams_.back());
    streams_[index]->index_ = index;
  }
  streams_.pop_back();
}

void Endpoint::request_arrived(std::int32_t id) {
  if (incoming_.size > settings_.max_header_list) return refuse(id, 431);
  if (incoming_.method != "CONNECT") return refuse(id, 405);
  // RFC 9110 section 9.3.6: an empty or invalid port is a 400.
  if (incoming_.token_twice || !base::HostPort::parse(incoming_.authority).ok()) {
    return refuse(id, 400);
  }
  // Streams that are closed, but not consumed, count too. nghttp2 counts those that are open.
  if (streams_.size() >= std::size_t{2} * settings_.max_streams) {
    return note(nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, id, NGHTTP2_REFUSED_STREAM));
  }
  Stream& stream = add_stream(nullptr);
  stream.id_ = id;
  note(nghttp2_session_set_stream_user_data(session_, id, &stream));
  // In turns: by default a stream would be sent to its end before the next (RFC 9218 section 10).
  nghttp2_extpri in_turns{NGHTTP2_EXTPRI_DEFAULT_URGENCY, 1};
  note(nghttp2_session_change_extpri_stream_priority(session_, id, &in_turns, 1));
  events_->on_connect(stream, {incoming_.authority, incoming_.forwarded, incoming_.token});
}

void Endpoint::refuse(std::int32_t id, int status) {
  count_early_reset();
  const std::string text = std::to_string(status);
  const std::array fields = {http2_field(":status", text), http2_field("allow", "CONNECT")};
  const std::size_t count = status == 405 ? 2 : 1;  // RFC 9110 section 15.5.6
  note(nghttp2_submit_response(session_, id, fields.data(), count, nullptr));
  events_->on_refused(incoming_.authority, status);
}

}  // namespace finhold::http2
