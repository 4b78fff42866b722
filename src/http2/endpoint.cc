#include "http2/endpoint.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include <nghttp2/nghttp2.h>

#include "base/address.h"
#include "base/check.h"
#include "http2/callbacks.h"

namespace finhold::http2 {

namespace {

// Far more than a side that reads lets pile up: answers to PING and SETTINGS, RST_STREAM. Requests
// of a near end come on top, since they are its own doing; none is made while there is so much.
constexpr std::size_t most_control = std::size_t{256} << 10;

constexpr std::size_t longest_request = std::size_t{8} << 10;

}  // namespace

const char* name_of(ErrorCode code) {
  return nghttp2_http2_strerror(static_cast<std::uint32_t>(code));
}

Endpoint::Endpoint(Role role, const Settings& settings, base::BlockPool& pool, Events& events)
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

Endpoint::~Endpoint() { nghttp2_session_del(session_); }

void Endpoint::submit_settings() {
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

bool Endpoint::feed(std::span<const std::byte> bytes, std::uint64_t now) {
  FINHOLD_CHECK(!busy_);
  if (unusable_) return false;
  busy_ = true;
  now_ = now;
  if (const char* reason = guard_.look(bytes, now)) {
    fail(reason, guard_.code());
  } else {
    process(bytes);
    // An error of the other side shows in the GOAWAY that nghttp2 sends for it. And answers that
    // are drawn here, and counted, need no bound inside of nghttp2.
    if (!broken_) pump({});
    if (control_.size() > most_control + requests_waiting_) {
      fail("what it makes us send is not read", ErrorCode::enhance_your_calm);
    }
  }
  after();
  return failed_.empty();
}

void Endpoint::process(std::span<const std::byte> bytes) {
  requests_ = 0;
  if (has_unprocessed()) {
    unprocessed_.insert(unprocessed_.end(), bytes.begin(), bytes.end());
    bytes = std::span(unprocessed_).subspan(unprocessed_begin_);
  }
  const auto* const data = reinterpret_cast<const std::uint8_t*>(bytes.data());
  const ssize_t done = nghttp2_session_mem_recv(session_, data, bytes.size());
  note(static_cast<int>(std::min<ssize_t>(done, 0)));
  const auto rest = bytes.subspan(done < 0 ? bytes.size() : static_cast<std::size_t>(done));
  if (rest.empty() || !failed_.empty()) {
    unprocessed_ = {};
    unprocessed_begin_ = 0;
  } else if (has_unprocessed()) {
    unprocessed_begin_ = unprocessed_.size() - rest.size();
  } else {
    unprocessed_.assign(rest.begin(), rest.end());
  }
}

std::size_t Endpoint::produce(std::span<std::byte> into) {
  FINHOLD_CHECK(!busy_ && into.size() >= least_output);
  const std::size_t first = std::min(into.size(), control_.size() - control_begin_);
  if (first > 0) std::memcpy(into.data(), control_.data() + control_begin_, first);
  control_begin_ += first;
  if (control_begin_ < control_.size()) return first;
  control_.clear();
  control_begin_ = 0;
  requests_waiting_ = 0;
  if (unusable_) return first;
  busy_ = true;
  submit_resets(false);
  const std::size_t count = pump(into.subspan(first));
  after();
  return first + count;
}

bool Endpoint::wants_write() const {
  if (control_begin_ < control_.size()) return true;
  return !unusable_ &&
         (!failed_.empty() || !resetting_.empty() || nghttp2_session_want_write(session_) != 0);
}

bool Endpoint::finished() const {
  if (control_begin_ < control_.size()) return false;
  return unusable_ || (nghttp2_session_want_read(session_) == 0 &&
                       nghttp2_session_want_write(session_) == 0 && resetting_.empty());
}

void Endpoint::lose() {
  FINHOLD_CHECK(!busy_);
  if (unusable_) return;
  busy_ = true;
  unusable_ = true;
  unprocessed_ = {};
  control_.clear();
  control_begin_ = 0;
  abandon_streams(ErrorCode::connect_error);
  after();
}

void Endpoint::cut() {
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
  unprocessed_ = {};
  abandon_streams(ErrorCode::connect_error);
  after();
}

bool Endpoint::can_open() const {
  return role_ == Role::near && !unusable_ && failed_.empty() && !draining_ && !goaway_received_ &&
         streams_.size() < settings_.max_streams && control_.size() < most_control &&
         open_ < nghttp2_session_get_remote_settings(session_,
                                                     NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS) &&
         nghttp2_session_check_request_allowed(session_) != 0;
}

Stream* Endpoint::open(const ConnectRequest& request, Stream::Events& events) {
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
  Stream& stream = add_stream(&events);
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

void Endpoint::ping(std::uint64_t token) {
  FINHOLD_CHECK(token != reserved_ping);
  if (unusable_) return;
  std::array<std::uint8_t, 8> data{};
  std::memcpy(data.data(), &token, data.size());
  note(nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, data.data()));
}

void Endpoint::drain() {
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
void Endpoint::goaway_sent() {
  if (!draining_ || role_ == Role::near || refusing_) return;
  std::array<std::uint8_t, 8> data{};
  std::memcpy(data.data(), &reserved_ping, data.size());
  note(nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, data.data()));
}

void Endpoint::refuse_new() {
  FINHOLD_CHECK(draining_ && role_ == Role::far);
  if (unusable_ || std::exchange(refusing_, true)) return;
  note(nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE,
                             nghttp2_session_get_last_proc_stream_id(session_), NGHTTP2_NO_ERROR,
                             nullptr, 0));
}

void Endpoint::fail(std::string_view reason, ErrorCode code) {
  if (!failed_.empty()) return;
  failed_ = reason;
  failed_code_ = code;
}

// The result of a call of nghttp2. What is not fatal is a stream that is closed or closing.
void Endpoint::note(int result) {
  if (nghttp2_is_fatal(result) == 0) return;
  broken_ = true;
  fail(result == NGHTTP2_ERR_BAD_CLIENT_MAGIC ? "it does not speak HTTP/2"
                                              : nghttp2_strerror(result),
       ErrorCode::internal_error);
}

void Endpoint::count_early_reset() {
  if (const char* reason = guard_.early_reset()) fail(reason, ErrorCode::enhance_your_calm);
}

void Endpoint::count_provoked_reset() {
  if (const char* reason = guard_.provoked_reset()) fail(reason, ErrorCode::enhance_your_calm);
}

void Endpoint::count_wrong_token() {
  if (const char* reason = guard_.wrong_token()) fail(reason, ErrorCode::enhance_your_calm);
}

// Lets nghttp2 send. What is no DATA and does not fit goes to control_; DATA is made to fit, so
// into nothing none is sent.
std::size_t Endpoint::pump(std::span<std::byte> into) {
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

void Endpoint::put(std::span<const std::byte> bytes) {
  const std::size_t now = std::min(space(), bytes.size());
  if (now > 0) std::memcpy(into_.data(), bytes.data(), now);
  into_ = into_.subspan(now);
  const auto rest = bytes.subspan(now);
  control_.insert(control_.end(), rest.begin(), rest.end());
}

// `all`: nothing more can be sent now, so what still waits before a RST_STREAM was offered.
bool Endpoint::submit_resets(bool all) {
  const auto goes = [&](Stream* stream) {
    if (!all && stream->unsent() > 0) return false;
    note(nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, stream->id_,
                                   static_cast<std::uint32_t>(*stream->reset_code_)));
    return true;
  };
  return std::erase_if(resetting_, goes) > 0;
}

// The end of feed(), produce() and lose(): nghttp2 is not on the stack any more.
void Endpoint::after() {
  for (;;) {
    if (!failed_.empty() && !unusable_) bury();
    if (due_.empty()) break;
    // By index: an event may add to it.
    for (std::size_t i = 0; i < due_.size(); ++i) tell(*due_[i]);  // NOLINT(modernize-loop-convert)
    due_.clear();
  }
  for (Stream* stream : discarded_) remove(*stream);
  discarded_.clear();
  busy_ = false;
}

void Endpoint::bury() {
  if (!broken_) {
    // Does nothing if nghttp2 itself has sent the GOAWAY.
    note(nghttp2_session_terminate_session(session_, static_cast<std::uint32_t>(failed_code_)));
    pump({});
  }
  unusable_ = true;
  unprocessed_ = {};
  abandon_streams(failed_code_);
}

}  // namespace finhold::http2
