#include "tunnel/http2.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include <nghttp2/nghttp2.h>

#include "base/address.h"
#include "base/check.h"
#include "tunnel/http2_callbacks.h"

namespace finhold::tunnel {

namespace {

// Far more than a side that reads lets pile up: answers to PING and SETTINGS, RST_STREAM.
constexpr std::size_t most_control = std::size_t{256} << 10;

constexpr std::size_t longest_request = std::size_t{8} << 10;

}  // namespace

const char* name_of(Http2Code code) {
  return nghttp2_http2_strerror(static_cast<std::uint32_t>(code));
}

Http2::Http2(Role role, const Http2Settings& settings, base::BlockPool& pool, Events& events)
    : role_(role),
      settings_(settings),
      pool_(&pool),
      events_(&events),
      guard_(settings.floods, settings.max_frame, role == Role::far) {
  FINHOLD_CHECK(pool.block_size() >= least_window && pool.block_size() <= INT32_MAX);
  FINHOLD_CHECK(settings.connection_window >= 65'535 && settings.connection_window <= INT32_MAX);
  FINHOLD_CHECK(settings.max_frame >= 16'384 && settings.max_frame < 1U << 24);
  session_ = make_http2_session(*this, role);
  submit_settings();
}

Http2::~Http2() { nghttp2_session_del(session_); }

void Http2::submit_settings() {
  // Without the priorities of RFC 7540 (RFC 9113 section 5.3.2) there is no tree for others to
  // grow.
  const nghttp2_settings_entry own =
      role_ == Role::near ? nghttp2_settings_entry{NGHTTP2_SETTINGS_ENABLE_PUSH, 0}
                          : nghttp2_settings_entry{NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1};
  const std::array<nghttp2_settings_entry, 5> entries = {{
      own,
      {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, role_ == Role::far ? settings_.max_streams : 0},
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, static_cast<std::uint32_t>(pool_->block_size())},
      {NGHTTP2_SETTINGS_MAX_FRAME_SIZE, settings_.max_frame},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, settings_.max_header_list},
  }};
  note(nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, entries.data(), entries.size()));
  note(nghttp2_session_set_local_window_size(
      session_, NGHTTP2_FLAG_NONE, 0, static_cast<std::int32_t>(settings_.connection_window)));
}

bool Http2::feed(std::span<const std::byte> bytes, std::uint64_t now) {
  FINHOLD_CHECK(!busy_);
  if (unusable_) return false;
  busy_ = true;
  now_ = now;
  if (const char* reason = guard_.look(bytes, now)) {
    fail(reason, guard_.code());
  } else {
    const auto* const data = reinterpret_cast<const std::uint8_t*>(bytes.data());
    note(static_cast<int>(
        std::min<ssize_t>(nghttp2_session_mem_recv(session_, data, bytes.size()), 0)));
    // An error of the other side shows in the GOAWAY that nghttp2 sends for it. And answers that
    // are drawn here, and counted, need no bound inside of nghttp2.
    if (!broken_) pump({});
    if (control_.size() > most_control) {
      fail("what it makes us send is not read", Http2Code::enhance_your_calm);
    }
  }
  after();
  return failed_.empty();
}

std::size_t Http2::produce(std::span<std::byte> into) {
  FINHOLD_CHECK(!busy_ && into.size() >= least_output);
  const std::size_t first = std::min(into.size(), control_.size() - control_begin_);
  if (first > 0) std::memcpy(into.data(), control_.data() + control_begin_, first);
  control_begin_ += first;
  if (control_begin_ < control_.size()) return first;
  control_.clear();
  control_begin_ = 0;
  if (unusable_) return first;
  busy_ = true;
  submit_resets(false);
  const std::size_t count = pump(into.subspan(first));
  after();
  return first + count;
}

bool Http2::wants_write() const {
  if (control_begin_ < control_.size()) return true;
  return !unusable_ &&
         (!failed_.empty() || !resetting_.empty() || nghttp2_session_want_write(session_) != 0);
}

bool Http2::finished() const {
  if (control_begin_ < control_.size()) return false;
  return unusable_ || (nghttp2_session_want_read(session_) == 0 &&
                       nghttp2_session_want_write(session_) == 0 && resetting_.empty());
}

void Http2::lose() {
  FINHOLD_CHECK(!busy_);
  if (unusable_) return;
  busy_ = true;
  unusable_ = true;
  control_.clear();
  control_begin_ = 0;
  abandon_streams(Http2Code::connect_error);
  after();
}

void Http2::cut() {
  FINHOLD_CHECK(!busy_);
  if (unusable_) return;
  busy_ = true;
  for (const auto& stream : streams_) {
    if (stream->closed_ || stream->reset_code_) continue;
    note(
        nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, stream->id_, NGHTTP2_CONNECT_ERROR));
  }
  // Before GOAWAY, since nghttp2 sends nothing else after it.
  submit_resets(true);
  if (!broken_) pump({});
  note(nghttp2_session_terminate_session(session_, NGHTTP2_NO_ERROR));
  if (!broken_) pump({});
  unusable_ = true;
  abandon_streams(Http2Code::connect_error);
  after();
}

bool Http2::can_open() const {
  return role_ == Role::near && !unusable_ && failed_.empty() && !draining_ && !goaway_received_ &&
         streams_.size() < settings_.max_streams &&
         open_ < nghttp2_session_get_remote_settings(session_,
                                                     NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS) &&
         nghttp2_session_check_request_allowed(session_) != 0;
}

Http2Stream* Http2::open(const ConnectRequest& request, Http2Stream::Events& events) {
  FINHOLD_CHECK(role_ == Role::near);
  FINHOLD_CHECK(request.authority.size() + request.forwarded.size() + request.token.size() <=
                longest_request);
  if (!can_open()) return nullptr;
  std::array<nghttp2_nv, 4> fields{};
  std::size_t count = 0;
  // Nothing else: no :scheme, no :path (RFC 9113 section 8.5).
  fields[count++] = http2_field(":method", "CONNECT");
  fields[count++] = http2_field(":authority", request.authority);
  if (!request.forwarded.empty()) {
    fields[count++] = http2_field("forwarded", request.forwarded, true);
  }
  std::string credentials;
  if (!request.token.empty()) {
    credentials.append("Bearer ").append(request.token);
    fields[count++] = http2_field("proxy-authorization", credentials, true);
  }
  Http2Stream& stream = add_stream(&events);
  const nghttp2_data_provider source = http2_source(stream);
  const int id = nghttp2_submit_request(session_, nullptr, fields.data(), count, &source, &stream);
  if (id < 0) {
    note(id);
    --open_;
    remove(stream);
    return nullptr;
  }
  stream.id_ = id;
  return &stream;
}

void Http2::ping(std::uint64_t token) {
  FINHOLD_CHECK(token != reserved_ping);
  if (unusable_) return;
  std::array<std::uint8_t, 8> data{};
  std::memcpy(data.data(), &token, data.size());
  note(nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, data.data()));
}

void Http2::drain() {
  if (unusable_ || draining_) return;
  draining_ = true;
  if (role_ == Role::near) {
    // There are no streams that the far side could open.
    note(nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE, 0, NGHTTP2_NO_ERROR, nullptr, 0));
    return;
  }
  note(nghttp2_submit_shutdown_notice(session_));
}

// What the client had sent before it saw the first GOAWAY has arrived when the PING behind that is
// answered. Submitted together, nghttp2 would send the PING first.
void Http2::goaway_sent() {
  if (!draining_ || role_ == Role::near || refusing_) return;
  std::array<std::uint8_t, 8> data{};
  std::memcpy(data.data(), &reserved_ping, data.size());
  note(nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, data.data()));
}

void Http2::refuse_new() {
  FINHOLD_CHECK(draining_ && role_ == Role::far);
  if (unusable_ || std::exchange(refusing_, true)) return;
  note(nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE,
                             nghttp2_session_get_last_proc_stream_id(session_), NGHTTP2_NO_ERROR,
                             nullptr, 0));
}

void Http2::fail(std::string_view reason, Http2Code code) {
  if (!failed_.empty()) return;
  failed_ = reason;
  failed_code_ = code;
}

// The result of a call of nghttp2. What is not fatal is a stream that is closed or closing.
void Http2::note(int result) {
  if (nghttp2_is_fatal(result) == 0) return;
  broken_ = true;
  fail(result == NGHTTP2_ERR_BAD_CLIENT_MAGIC ? "it does not speak HTTP/2"
                                              : nghttp2_strerror(result),
       Http2Code::internal_error);
}

void Http2::count_early_reset() {
  if (const char* reason = guard_.early_reset()) fail(reason, Http2Code::enhance_your_calm);
}

void Http2::count_provoked_reset() {
  if (const char* reason = guard_.provoked_reset()) fail(reason, Http2Code::enhance_your_calm);
}

void Http2::count_wrong_token() {
  if (const char* reason = guard_.wrong_token()) fail(reason, Http2Code::enhance_your_calm);
}

// Lets nghttp2 send. What is no DATA and does not fit goes to control_; DATA is made to fit, so
// into nothing none is sent.
std::size_t Http2::pump(std::span<std::byte> into) {
  into_ = into;
  for (;;) {
    paused_ = false;
    const std::uint8_t* data = nullptr;
    const ssize_t count = nghttp2_session_mem_send(session_, &data);
    if (count < 0) {
      note(static_cast<int>(count));
      break;
    }
    if (count > 0) {
      put(std::as_bytes(std::span(data, static_cast<std::size_t>(count))));
    } else if (paused_ || !submit_resets(true)) {
      break;
    }
  }
  const std::size_t written = into.size() - into_.size();
  into_ = {};
  return written;
}

void Http2::put(std::span<const std::byte> bytes) {
  const std::size_t now = std::min(space(), bytes.size());
  if (now > 0) std::memcpy(into_.data(), bytes.data(), now);
  into_ = into_.subspan(now);
  const auto rest = bytes.subspan(now);
  control_.insert(control_.end(), rest.begin(), rest.end());
}

// `all`: nothing more can be sent now, so what still waits before a RST_STREAM was offered.
bool Http2::submit_resets(bool all) {
  const auto goes = [&](Http2Stream* stream) {
    if (!all && stream->unsent() > 0) return false;
    note(nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, stream->id_,
                                   static_cast<std::uint32_t>(*stream->reset_code_)));
    return true;
  };
  return std::erase_if(resetting_, goes) > 0;
}

// The end of feed(), produce() and lose(): nghttp2 is not on the stack any more.
void Http2::after() {
  for (;;) {
    if (!failed_.empty() && !unusable_) bury();
    if (due_.empty()) break;
    // By index: an event may add to it.
    for (std::size_t i = 0; i < due_.size(); ++i) tell(*due_[i]);  // NOLINT(modernize-loop-convert)
    due_.clear();
  }
  for (Http2Stream* stream : discarded_) remove(*stream);
  discarded_.clear();
  busy_ = false;
}

void Http2::bury() {
  if (!broken_) {
    // Does nothing if nghttp2 itself has sent the GOAWAY.
    note(nghttp2_session_terminate_session(session_, static_cast<std::uint32_t>(failed_code_)));
    pump({});
  }
  unusable_ = true;
  abandon_streams(failed_code_);
}

void Http2::abandon_streams(Http2Code code) {
  for (const auto& stream : streams_) closed(*stream, code);
}

// After a GOAWAY. nghttp2 refuses a request when its turn comes; but one that waits for room (a
// lower SETTINGS_MAX_CONCURRENT_STREAMS has come meanwhile) would have none, maybe never.
void Http2::give_up_queued() {
  for (const auto& stream : streams_) {
    if (stream->closed_ || nghttp2_session_find_stream(session_, stream->id_) != nullptr) continue;
    note(nghttp2_session_set_stream_user_data(session_, stream->id_, nullptr));
    closed(*stream, Http2Code::refused_stream);
  }
}

void Http2::due(Http2Stream& stream, unsigned what) {
  if (stream.events_ == nullptr || stream.reset_code_) return;
  if (stream.due_ == 0) due_.push_back(&stream);
  stream.due_ |= what;
}

// In the order in which it has happened. Each event may take away what is left to be told.
void Http2::tell(Http2Stream& stream) {
  const auto take = [&](unsigned what) {
    const bool is_due = (stream.due_ & what) != 0;
    stream.due_ &= ~what;
    return is_due;
  };
  ++told_;
  if (take(Http2Stream::answer)) stream.events_->on_answer(stream.status_);
  if (take(Http2Stream::read)) stream.events_->on_readable();
  if (take(Http2Stream::room_again)) stream.events_->on_writable();
  if (take(Http2Stream::sent)) stream.events_->on_sent();
  if (take(Http2Stream::aborted)) stream.events_->on_reset(stream.told_code_);
}

// nghttp2 knows the stream no more: both sides have ended, it was reset, or all is over.
void Http2::closed(Http2Stream& stream, Http2Code code) {
  if (stream.closed_) return;
  stream.closed_ = true;
  --open_;
  const bool may_be_tried_again = code == Http2Code::refused_stream && stream.keeps_written();
  if (!may_be_tried_again) {
    stream.dropped_ = stream.unsent() > 0;
    stream.drop_written();
  }
  if (stream.reset_code_) std::erase(resetting_, &stream);
  if (stream.forgotten_) discard(stream);
  const bool in_order = stream.remote_ended_ && stream.end_sent_ && code == Http2Code::no_error;
  if (in_order || stream.refused_) return;
  // Truncated data never looks like an end.
  const bool no_end = code == Http2Code::no_error && !stream.remote_ended_;
  stream.told_code_ = no_end ? Http2Code::cancel : code;
  stream.due_ &= ~static_cast<unsigned>(Http2Stream::room_again);
  due(stream, Http2Stream::aborted);
}

Http2Stream& Http2::add_stream(Http2Stream::Events* events) {
  streams_.push_back(std::unique_ptr<Http2Stream>(new Http2Stream(*this, *pool_, events)));
  streams_.back()->index_ = streams_.size() - 1;
  ++open_;
  return *streams_.back();
}

void Http2::discard(Http2Stream& stream) {
  if (busy_) {
    discarded_.push_back(&stream);
  } else {
    remove(stream);
  }
}

void Http2::remove(Http2Stream& stream) {
  const std::size_t index = stream.index_;
  if (index + 1 < streams_.size()) {
    std::swap(streams_[index], streams_.back());
    streams_[index]->index_ = index;
  }
  streams_.pop_back();
}

void Http2::request_arrived(std::int32_t id) {
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
  Http2Stream& stream = add_stream(nullptr);
  stream.id_ = id;
  note(nghttp2_session_set_stream_user_data(session_, id, &stream));
  // In turns: by default a stream would be sent to its end before the next (RFC 9218 section 10).
  nghttp2_extpri in_turns{NGHTTP2_EXTPRI_DEFAULT_URGENCY, 1};
  note(nghttp2_session_change_extpri_stream_priority(session_, id, &in_turns, 1));
  events_->on_connect(stream, {incoming_.authority, incoming_.forwarded, incoming_.token});
}

void Http2::refuse(std::int32_t id, int status) {
  count_early_reset();
  const std::string text = std::to_string(status);
  const std::array fields = {http2_field(":status", text), http2_field("allow", "CONNECT")};
  const std::size_t count = status == 405 ? 2 : 1;  // RFC 9110 section 15.5.6
  note(nghttp2_submit_response(session_, id, fields.data(), count, nullptr));
  events_->on_refused(incoming_.authority, status);
}

}  // namespace finhold::tunnel
