#include "http2/callbacks.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <new>
#include <strings.h>
#include <utility>

#include "base/check.h"

namespace finhold::http2 {

namespace {

constexpr std::size_t frame_header = 9;

// At once, of a client; each may have a session opened, which is 30 to 100 us.
constexpr int most_requests = 16;

// A frame that is cut short by the end of the buffer has at least this much.
constexpr std::size_t least_frame = 4096;

std::string_view text_of(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

// RFC 9110 section 11.1: the scheme is not case-sensitive.
std::string_view bearer_token(std::string_view credentials) {
  constexpr std::string_view scheme = "Bearer ";
  if (credentials.size() < scheme.size() ||
      strncasecmp(credentials.data(), scheme.data(), scheme.size()) != 0) {
    return {};
  }
  return credentials.substr(scheme.size());
}

}  // namespace

// The callbacks return 0 (but for on_header, which has nghttp2 stop): an error is noted in
// Endpoint, and what nghttp2 still reports is ignored.
struct Callbacks {
  static Endpoint& of(void* user_data) { return *static_cast<Endpoint*>(user_data); }
  static Stream* stream_of(nghttp2_session* session, std::int32_t id) {
    return static_cast<Stream*>(nghttp2_session_get_stream_user_data(session, id));
  }

  static int on_begin_headers(nghttp2_session* /*session*/, const nghttp2_frame* /*frame*/,
                              void* user_data) {
    Endpoint& http2 = of(user_data);
    if (!http2.guard_.knows_other_side()) {
      const char* const reason = http2.guard_.request_of_stranger();
      if (reason != nullptr) http2.fail(reason, ErrorCode::enhance_your_calm);
    }
    Endpoint::Incoming& incoming = http2.incoming_;
    incoming.waits = http2.role_ == Endpoint::Role::far && ++http2.requests_ > most_requests;
    incoming.method.clear();
    incoming.authority.clear();
    incoming.forwarded.clear();
    incoming.token.clear();
    incoming.proxy_status.clear();
    incoming.size = 0;
    incoming.status = 0;
    incoming.token_twice = false;
    return 0;
  }

  static int on_header(nghttp2_session* /*session*/, const nghttp2_frame* /*frame*/,
                       const std::uint8_t* name_data, std::size_t name_size,
                       const std::uint8_t* value_data, std::size_t value_size,
                       std::uint8_t /*flags*/, void* user_data) {
    Endpoint& http2 = of(user_data);
    if (!http2.failed_.empty()) return NGHTTP2_ERR_PAUSE;  // nothing more is decoded
    Endpoint::Incoming& incoming = http2.incoming_;
    const std::string_view name = text_of(name_data, name_size);
    const std::string_view value = text_of(value_data, value_size);
    // nghttp2 only announces the limit.
    constexpr std::size_t overhead = 32;
    incoming.size += name.size() + value.size() + overhead;
    // One byte may stand for a field of 4 KiB, and another 10,000 may follow: they are not decoded.
    if (incoming.size > 2 * std::size_t{http2.settings_.max_header_list}) {
      http2.fail("a header list that is too long", ErrorCode::enhance_your_calm);
      return NGHTTP2_ERR_PAUSE;
    }
    const int result = std::exchange(incoming.waits, false) ? NGHTTP2_ERR_PAUSE : 0;
    if (incoming.size > http2.settings_.max_header_list) return result;
    if (name == ":status") {
      std::from_chars(value.data(), value.data() + value.size(), incoming.status);
    } else if (name == ":method") {
      incoming.method = value;
    } else if (name == ":authority") {
      incoming.authority = value;
    } else if (name == "forwarded") {
      // One list, however many fields it comes in (RFC 7239 section 4).
      if (!incoming.forwarded.empty()) incoming.forwarded += ", ";
      incoming.forwarded += value;
    } else if (name == "proxy-status") {
      if (!incoming.proxy_status.empty()) incoming.proxy_status += ", ";
      incoming.proxy_status += value;
    } else if (name == "proxy-authorization") {
      incoming.token_twice = incoming.token_twice || !incoming.token.empty();
      incoming.token = bearer_token(value);
    }
    return result;
  }

  static int on_frame(nghttp2_session* session, const nghttp2_frame* frame, void* user_data) {
    Endpoint& http2 = of(user_data);
    if (!http2.failed_.empty()) return 0;
    const bool ends = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    Stream* stream = frame->hd.stream_id == 0 ? nullptr : stream_of(session, frame->hd.stream_id);
    switch (frame->hd.type) {
      case NGHTTP2_HEADERS:
        if (frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
          http2.request_arrived(frame->hd.stream_id);
          stream = stream_of(session, frame->hd.stream_id);
        } else if (stream != nullptr && !answered(http2, *stream)) {
          return 0;
        }
        if (stream != nullptr && ends) has_ended(http2, *stream);
        break;
      case NGHTTP2_DATA:
        if (stream != nullptr && ends) has_ended(http2, *stream);
        break;
      case NGHTTP2_RST_STREAM:
        if (http2.role_ == Endpoint::Role::far && stream != nullptr && stream->status_ == 0) {
          http2.count_early_reset();
        }
        break;
      case NGHTTP2_SETTINGS:
        if ((frame->hd.flags & NGHTTP2_FLAG_ACK) == 0) http2.events_->on_settings();
        break;
      case NGHTTP2_PING:
        if ((frame->hd.flags & NGHTTP2_FLAG_ACK) != 0) ping_acknowledged(http2, frame->ping);
        break;
      case NGHTTP2_GOAWAY:
        http2.goaway_received_ = true;
        if (http2.role_ == Endpoint::Role::near) http2.give_up_queued();
        http2.events_->on_goaway(frame->goaway.last_stream_id,
                                 static_cast<ErrorCode>(frame->goaway.error_code));
        break;
      default:
        break;
    }
    return 0;
  }

  // HEADERS on a stream that is there. False: they do not make it a tunnel.
  static bool answered(Endpoint& http2, Stream& stream) {
    if (stream.deaf()) return false;
    if (http2.role_ == Endpoint::Role::far || stream.status_ != 0) {
      // RFC 9113 section 8.5: nothing but DATA in a tunnel, so trailers are a stream error.
      http2.note(nghttp2_submit_rst_stream(http2.session_, NGHTTP2_FLAG_NONE, stream.id_,
                                           NGHTTP2_PROTOCOL_ERROR));
      return false;
    }
    const int status = http2.incoming_.status;
    if (status < 200) return false;  // an interim answer
    stream.status_ = status;
    http2.due(stream, Stream::answer);
    if (status < 300) {  // RFC 9110 section 9.3.6: any 2xx
      stream.was_answered();
      return true;
    }
    stream.refused_ = true;
    stream.why_refused_ = proxy_error_in(http2.incoming_.proxy_status);
    stream.drop_written();
    http2.note(
        nghttp2_submit_rst_stream(http2.session_, NGHTTP2_FLAG_NONE, stream.id_, NGHTTP2_CANCEL));
    return false;
  }

  static void has_ended(Endpoint& http2, Stream& stream) {
    stream.remote_ended_ = true;
    if (!stream.deaf()) http2.due(stream, Stream::read);
  }

  static void ping_acknowledged(Endpoint& http2, const nghttp2_ping& ping) {
    std::uint64_t token = 0;
    std::memcpy(&token, ping.opaque_data, sizeof token);
    if (token != Endpoint::reserved_ping) return http2.events_->on_ping_ack(token);
    if (http2.draining_ && http2.role_ == Endpoint::Role::far) http2.refuse_new();
  }

  static int on_data(nghttp2_session* session, std::uint8_t /*flags*/, std::int32_t id,
                     const std::uint8_t* data, std::size_t size, void* user_data) {
    Endpoint& http2 = of(user_data);
    http2.note(nghttp2_session_consume_connection(session, size));  // endpoint.h says why
    Stream* const stream = stream_of(session, id);
    if (!http2.failed_.empty() || stream == nullptr || stream->deaf()) return 0;
    // Beyond the window: nghttp2 has queued a RST_STREAM, and goes on telling.
    if (size > stream->in_.free()) return 0;
    stream->arrived(std::as_bytes(std::span(data, size)));
    return 0;
  }

  static int on_close(nghttp2_session* session, std::int32_t id, std::uint32_t code,
                      void* user_data) {
    if (Stream* const stream = stream_of(session, id)) {
      of(user_data).closed(*stream, static_cast<ErrorCode>(code));
    }
    return 0;
  }

  static int on_sent(nghttp2_session* session, const nghttp2_frame* frame, void* user_data) {
    Endpoint& http2 = of(user_data);
    const std::int32_t id = frame->hd.stream_id;
    if (frame->hd.type == NGHTTP2_HEADERS) {
      // A refusal is complete before the request is: the rest of that is not wanted (RFC 9113
      // section 8.1). Not before it is sent, since nghttp2 drops what a RST_STREAM is queued
      // behind.
      if (http2.role_ == Endpoint::Role::near) {
        if (http2.space() == 0) {
          http2.requests_waiting_ += frame_header + frame->hd.length;
        }
        http2.guard_.sent_request();
        if (Stream* const stream = stream_of(session, id)) stream->asked_ = true;
      }
      const bool ends = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
      if (ends && nghttp2_session_get_stream_remote_close(session, id) == 0) {
        http2.note(nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, id, NGHTTP2_NO_ERROR));
      }
    } else if (frame->hd.type == NGHTTP2_RST_STREAM) {
      // One that the other side has provoked by an error.
      const Stream* const stream = stream_of(session, id);
      const bool wanted = stream != nullptr && (stream->reset_code_ || stream->refused_);
      // Near cancels what was refused, and nghttp2 may know the stream no more by then.
      const bool is_ours =
          http2.role_ == Endpoint::Role::near && frame->rst_stream.error_code == NGHTTP2_CANCEL;
      if (!wanted && !is_ours && frame->rst_stream.error_code != NGHTTP2_NO_ERROR) {
        // Not what is refused for want of room, of which the other side may not have known: it
        // costs little.
        if (frame->rst_stream.error_code != NGHTTP2_REFUSED_STREAM) http2.count_provoked_reset();
      }
      const bool too_many = frame->rst_stream.error_code == NGHTTP2_REFUSED_STREAM;
      if (too_many && stream == nullptr && http2.role_ == Endpoint::Role::far) {
        http2.events_->on_refused({}, 0);
      }
    } else if (frame->hd.type == NGHTTP2_GOAWAY && frame->goaway.error_code == NGHTTP2_NO_ERROR) {
      http2.goaway_sent();
    } else if (frame->hd.type == NGHTTP2_GOAWAY) {
      const std::string_view why =
          text_of(frame->goaway.opaque_data, frame->goaway.opaque_data_len);
      http2.fail(why.empty() ? nghttp2_http2_strerror(frame->goaway.error_code) : why,
                 static_cast<ErrorCode>(frame->goaway.error_code));
    }
    return 0;
  }

  // As much as the windows and the other side's limit allow; nghttp2 sees to that.
  static ssize_t frame_length(nghttp2_session* /*session*/, std::uint8_t /*type*/,
                              std::int32_t /*id*/, std::int32_t /*connection_window*/,
                              std::int32_t /*stream_window*/, std::uint32_t /*max_frame*/,
                              void* user_data) {
    return of(user_data).settings_.max_frame;
  }

  // How long the next DATA frame is; send_data() then copies it, from the stream to the
  // connection's output without a stop between. Called until it returns PAUSE or no stream is left
  // with bytes.
  static ssize_t next_data(nghttp2_session* /*session*/, std::int32_t /*id*/,
                           std::uint8_t* /*buffer*/, std::size_t most, std::uint32_t* flags,
                           nghttp2_data_source* source, void* user_data) {
    Endpoint& http2 = of(user_data);
    Stream& stream = *static_cast<Stream*>(source->ptr);
    const std::size_t waiting = stream.unsent();
    if (waiting == 0 && !stream.finished_) {
      stream.deferred_ = true;
      return NGHTTP2_ERR_DEFERRED;
    }
    if (http2.space() < frame_header + std::min(waiting, least_frame)) {
      http2.paused_ = true;
      return NGHTTP2_ERR_PAUSE;
    }
    const std::size_t size = std::min({waiting, most, http2.space() - frame_header});
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (size == waiting && stream.finished_) *flags |= NGHTTP2_DATA_FLAG_EOF;
    return static_cast<ssize_t>(size);
  }

  static int send_data(nghttp2_session* /*session*/, nghttp2_frame* frame,
                       const std::uint8_t* header, std::size_t size, nghttp2_data_source* source,
                       void* user_data) {
    Endpoint& http2 = of(user_data);
    Stream& stream = *static_cast<Stream*>(source->ptr);
    FINHOLD_CHECK(http2.space() >= frame_header + size && stream.unsent() >= size);
    http2.put(std::as_bytes(std::span(header, frame_header)));
    for (std::size_t left = size; left > 0;) {
      const auto there = stream.out_.front(stream.kept_);
      const auto piece = there.first(std::min(left, there.size()));
      http2.put(piece);
      stream.are_sent(piece.size());
      left -= piece.size();
    }
    http2.guard_.sent_data(size);
    if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
      stream.end_sent_ = true;
      http2.due(stream, Stream::sent);
    }
    return 0;
  }
};

nghttp2_nv http2_field(std::string_view name, std::string_view value, bool private_one) {
  nghttp2_nv field{};
  // nghttp2 takes them without const, and does not write.
  field.name = reinterpret_cast<std::uint8_t*>(const_cast<char*>(name.data()));
  field.namelen = name.size();
  field.value = reinterpret_cast<std::uint8_t*>(const_cast<char*>(value.data()));
  field.valuelen = value.size();
  field.flags = private_one ? NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_INDEX
                            : NGHTTP2_NV_FLAG_NO_COPY_NAME;
  return field;
}

nghttp2_data_provider http2_source(Stream& stream) {
  nghttp2_data_provider provider{};
  provider.source.ptr = &stream;
  provider.read_callback = Callbacks::next_data;
  return provider;
}

nghttp2_session* make_http2_session(Endpoint& http2, Endpoint::Role role) {
  nghttp2_session_callbacks* callbacks = nullptr;
  if (nghttp2_session_callbacks_new(&callbacks) != 0) throw std::bad_alloc();
  using Own = Callbacks;
  nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, Own::on_begin_headers);
  nghttp2_session_callbacks_set_on_header_callback(callbacks, Own::on_header);
  nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, Own::on_frame);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, Own::on_data);
  nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, Own::on_close);
  nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, Own::on_sent);
  nghttp2_session_callbacks_set_data_source_read_length_callback(callbacks, Own::frame_length);
  nghttp2_session_callbacks_set_send_data_callback(callbacks, Own::send_data);

  nghttp2_option* option = nullptr;
  if (nghttp2_option_new(&option) != 0) throw std::bad_alloc();
  nghttp2_option_set_no_auto_window_update(option, 1);
  nghttp2_option_set_no_closed_streams(option, 1);
  nghttp2_option_set_max_reserved_remote_streams(option, 0);
  // FloodGuard counts resets itself: nghttp2 would take 33 a second for an attack, by its own
  // clock, and a busy tunnel has more.
  nghttp2_option_set_stream_reset_rate_limit(option, UINT64_MAX, 1);

  nghttp2_session* session = nullptr;
  const auto make =
      role == Endpoint::Role::near ? nghttp2_session_client_new2 : nghttp2_session_server_new2;
  if (make(&session, callbacks, &http2, option) != 0) throw std::bad_alloc();
  nghttp2_option_del(option);
  nghttp2_session_callbacks_del(callbacks);
  return session;
}

}  // namespace finhold::http2
