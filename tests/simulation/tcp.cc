#include "simulation/tcp.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <sys/epoll.h>
#include <utility>

#include "simulation/connection.h"

namespace finhold::simulation {

const char* name(Socket::State state) {
  constexpr std::array names{"fresh",      "SYN_SENT",   "SYN_RECEIVED", "ESTABLISHED",
                             "FIN_WAIT_1", "FIN_WAIT_2", "CLOSE_WAIT",   "CLOSING",
                             "LAST_ACK",   "TIME_WAIT",  "CLOSED"};
  return names.at(static_cast<std::size_t>(state));
}

// The sequence number behind all that the program has written, and its FIN. SYN has 0.
std::uint64_t Socket::written() const {
  return std::max<std::uint64_t>(acked_, 1) + out_.size() + (fin_queued_ && !fin_acked_ ? 1 : 0);
}

std::size_t Socket::unacknowledged() const {
  if (state_ == State::fresh || state_ == State::syn_sent) return 0;
  return static_cast<std::size_t>(written() - std::max<std::uint64_t>(acked_, 1));
}

std::size_t Socket::unsent() const {
  if (state_ == State::fresh || state_ == State::syn_sent) return 0;
  return static_cast<std::size_t>(written() - std::max<std::uint64_t>(next_, 1));
}

std::size_t Socket::window() const {
  return buffers_.receive > unread() ? buffers_.receive - unread() : 0;
}

std::size_t Socket::room() const {
  return buffers_.send > out_.size() ? buffers_.send - out_.size() : 0;
}

// sk_stream_is_writeable(): a third of the buffer.
bool Socket::is_writable() const { return room() > 0 && room() >= out_.size() / 2; }

Time Socket::repeat_after() const {
  const bool connecting = state_ == State::syn_sent || state_ == State::syn_received;
  const Time first = (connecting ? s : first_repeat) + 2 * connection_.round_trip();
  return std::min(first << std::min(backoff_, 20), longest_repeat_);
}

void Socket::tell() {
  if (holder_ != nullptr) holder_->on_socket(*this);
}

// Calls of the program.

void Socket::connect() {
  state_ = State::syn_sent;
  transmit(0, 0);
  set_timer(repeat, repeat_after());
}

long Socket::receive(std::span<char> into, bool peek, int& error) {
  const std::size_t count = std::min(into.size(), unread());
  if (count > 0) {
    std::memcpy(into.data(), in_.data() + in_begin_, count);
    if (peek) return static_cast<long>(count);
    in_begin_ += count;
    if (in_begin_ == in_.size()) {
      in_.clear();
      in_begin_ = 0;
    } else if (in_begin_ > in_.size() / 2) {
      in_.erase(0, in_begin_);
      in_begin_ = 0;
    }
    // A window that was nearly shut is told when it has opened by half.
    const bool open =
        state_ == State::established || state_ == State::fin_wait_1 || state_ == State::fin_wait_2;
    const std::uint64_t right = expected_ + window();
    if (open && right - told_right_ >= buffers_.receive / 2) answer();
    return static_cast<long>(count);
  }
  if (done_) return 0;
  if (error_ != 0) {
    error = std::exchange(error_, 0);
    return -1;
  }
  if (in_shut_) return 0;
  error = state_ == State::closed || state_ == State::fresh ? ENOTCONN : EAGAIN;
  return -1;
}

long Socket::send(std::span<const char> bytes, int& error) {
  if (error_ != 0 || out_shut_) {
    error = error_ != 0 ? std::exchange(error_, 0) : EPIPE;
    return -1;
  }
  const std::size_t count = std::min(bytes.size(), room());
  if (count < bytes.size()) no_space_ = true;
  if (count == 0) {
    error = EAGAIN;
    return -1;
  }
  out_.append(bytes.data(), count);
  push();
  return static_cast<long>(count);
}

int Socket::shutdown_write() {
  if (!is_connected()) return ENOTCONN;
  if (out_shut_) return 0;
  out_shut_ = true;
  if (state_ == State::established || state_ == State::syn_received) {
    state_ = State::fin_wait_1;
  } else if (state_ == State::close_wait) {
    state_ = State::last_ack;
  } else {
    return 0;
  }
  fin_queued_ = true;
  push();
  return 0;
}

// tcp_close()
void Socket::close() {
  holder_ = nullptr;
  orphan_ = true;
  const bool may_reset = state_ == State::established || state_ == State::syn_received ||
                         state_ == State::fin_wait_1 || state_ == State::fin_wait_2 ||
                         state_ == State::close_wait;
  const bool has_unsent =
      (state_ == State::closing || state_ == State::last_ack) && next_ < written();
  if (state_ == State::syn_sent || state_ == State::fresh) return become_closed();
  if (unread() > 0 && (may_reset || state_ == State::closing || state_ == State::last_ack)) {
    send_reset();
    return become_closed();
  }
  if (lingers_ && state_ != State::time_wait && state_ != State::closed) {
    if (may_reset || has_unsent) send_reset();
    return become_closed();
  }
  in_shut_ = true;
  if (may_reset && !out_shut_) shutdown_write();
  out_shut_ = true;
  if (state_ == State::fin_wait_2) set_timer(end_of_life, closed_for);
}

int Socket::take_error() { return std::exchange(error_, 0); }

// tcp_poll()
std::uint32_t Socket::poll() {
  std::uint32_t mask = 0;
  if ((in_shut_ && out_shut_) || state_ == State::closed || state_ == State::fresh) {
    mask |= EPOLLHUP;
  }
  if (in_shut_) mask |= EPOLLIN | EPOLLRDHUP;
  if (state_ != State::syn_sent) {
    if (unread() > 0) mask |= EPOLLIN;
    if (out_shut_ || is_writable()) {
      mask |= EPOLLOUT;
    } else {
      no_space_ = true;
    }
  }
  if (error_ != 0) mask |= EPOLLERR;
  return mask;
}

void Socket::set_keepalive_idle(Time time) {
  keepalive_idle_ = time;
  if (keepalive_ && is_connected()) set_timer(keepalive, time);
}

// What is sent.

Segment Socket::make(std::uint64_t from) const {
  Segment segment;
  segment.seq = from;
  segment.ack = expected_;
  segment.has_ack = state_ != State::syn_sent;
  segment.window = window();
  return segment;
}

void Socket::transmit(std::uint64_t from, std::size_t most) {
  Segment segment = make(from);
  segment.syn = from == 0;
  const std::uint64_t begin = std::max<std::uint64_t>(acked_, 1);
  if (!segment.syn && from >= begin) {
    const auto skipped = static_cast<std::size_t>(from - begin);
    if (skipped < out_.size()) segment.bytes = out_.substr(skipped, most);
    segment.fin = segment.end() == begin + out_.size() && segment.end() < written();
  }
  told_right_ = expected_ + segment.window;
  next_ = std::max(next_, segment.end());
  connection_.transmit(end_, segment);
}

void Socket::answer() {
  const Segment segment = make(next_);
  told_right_ = expected_ + segment.window;
  connection_.transmit(end_, segment);
}

// What the other end's window lets go.
void Socket::push() {
  if (state_ == State::syn_sent || state_ == State::syn_received) return;
  bool sent = false;
  while (next_ < written()) {
    const std::uint64_t bytes_end = std::max<std::uint64_t>(acked_, 1) + out_.size();
    const auto bytes_left = static_cast<std::size_t>(bytes_end > next_ ? bytes_end - next_ : 0);
    const auto allowed = static_cast<std::size_t>(right_ > next_ ? right_ - next_ : 0);
    // A FIN needs room in the window, too.
    if (allowed == 0) break;
    transmit(next_, std::min({bytes_left, allowed, most_in_segment}));
    sent = true;
  }
  // With nothing under way the window is asked for.
  const bool waits = next_ > acked_ || next_ < written();
  if (waits && (sent || !running_[repeat])) set_timer(repeat, repeat_after());
}

// Of a byte that the other end has: it answers with what it expects.
void Socket::probe() { connection_.transmit(end_, make(acked_ - 1)); }

void Socket::send_reset() {
  Segment segment;
  segment.rst = true;
  segment.seq = next_;
  connection_.transmit(end_, segment);
}

// Time.

void Socket::set_timer(Timer timer, Time after) {
  ++generation_[timer];
  running_[timer] = true;
  agenda_.plan(agenda_.now() + after, *this, generation_[timer] * timers + timer);
}

void Socket::on_event(std::uint64_t what) {
  const auto timer = static_cast<Timer>(what % timers);
  if (generation_[timer] != what / timers || state_ == State::closed) return;
  running_[timer] = false;
  if (timer == repeat) return on_repeat();
  if (timer == keepalive) return on_keepalive();
  become_closed();
}

void Socket::on_repeat() {
  const bool in_flight = next_ > acked_;
  if (!in_flight && next_ == written()) return;
  const bool connecting = state_ == State::syn_sent || state_ == State::syn_received;
  const int limit = connecting ? syn_repeats : orphan_ ? orphan_repeats : repeats;
  if (in_flight) {
    if (retransmits_ >= limit) return fail(ETIMEDOUT);
    ++retransmits_;
  } else {
    // tcp_probe_timer(): an orphan whose reader only pauses is given up too, once it asks as rarely
    // as it may.
    const bool is_given_up = orphan_ && backoff_ >= limit && repeat_after() == longest_repeat_;
    if (probes_ >= limit || is_given_up) return fail(ETIMEDOUT);
    ++probes_;
  }
  ++backoff_;
  if (connecting) {
    transmit(0, 0);
  } else if (in_flight) {
    repaired_from_ = next_;
    transmit(acked_, most_in_segment);
  } else {
    probe();
  }
  set_timer(repeat, repeat_after());
}

// tcp_keepalive_timer()
void Socket::on_keepalive() {
  if (!keepalive_ || !is_connected()) return;
  if (next_ > acked_ || next_ < written()) return set_timer(keepalive, keepalive_idle_);
  const Time quiet = agenda_.now() - heard_at_;
  if (quiet < keepalive_idle_) return set_timer(keepalive, keepalive_idle_ - quiet);
  if (probes_ >= keepalive_probes_) {
    send_reset();
    return fail(ETIMEDOUT);
  }
  ++probes_;
  probe();
  set_timer(keepalive, keepalive_interval_);
}

// What comes.

void Socket::on_segment(const Segment& segment) {
  if (state_ == State::closed) {
    if (segment.rst) return;
    Segment reset;
    reset.rst = true;
    reset.seq = segment.ack;
    return connection_.transmit(end_, reset);
  }
  if (segment.rst) return on_reset();
  if (state_ == State::syn_sent) {
    if (!segment.syn || !segment.has_ack) return;
    expected_ = 1;
    state_ = State::established;
    heard_at_ = agenda_.now();
    on_ack(segment);
    if (keepalive_) set_timer(keepalive, keepalive_idle_);
    answer();
    push();
    return tell();
  }
  if (segment.syn) {
    if (state_ == State::fresh) {
      state_ = State::syn_received;
      expected_ = 1;
      heard_at_ = agenda_.now();
      if (keepalive_) set_timer(keepalive, keepalive_idle_);
      transmit(0, 0);
      set_timer(repeat, repeat_after());
    } else if (state_ == State::syn_received) {
      transmit(0, 0);
    } else {
      answer();
    }
    return;
  }
  heard_at_ = agenda_.now();
  if (segment.seq > expected_) {  // something before it was lost
    on_ack(segment);
    if (segment.end() > segment.seq && state_ != State::closed) answer();
    return;
  }
  if (segment.seq < expected_ && segment.end() <= expected_) {
    // Old: a repetition, or a probe.
    on_ack(segment);
    if (state_ != State::closed) answer();
    return;
  }
  on_ack(segment);
  if (state_ == State::closed) return;
  shift(segment);
}

void Socket::on_ack(const Segment& segment) {
  if (!segment.has_ack) return;
  probes_ = 0;
  right_ = std::max(right_, segment.ack + segment.window);
  if (segment.ack > acked_ && segment.ack <= next_) {
    const std::uint64_t begin = std::max<std::uint64_t>(acked_, 1);
    const std::uint64_t bytes_end = begin + out_.size();
    const std::uint64_t all = written();
    const bool fin = fin_queued_ && segment.ack == all && all > bytes_end;
    out_.erase(0, static_cast<std::size_t>(std::min(segment.ack, bytes_end) - begin));
    acked_ = segment.ack;
    fin_acked_ = fin_acked_ || fin;
    retransmits_ = backoff_ = 0;
    stop_timer(repeat);
    if (state_ == State::syn_received) {
      state_ = State::established;
      connection_.accepted();
    }
    if (fin) fin_acknowledged();
    if (state_ == State::closed) return;
    if (no_space_ && is_writable()) {
      no_space_ = false;
      tell();
    }
    // What was sent behind a loss was not kept.
    if (acked_ < repaired_from_) transmit(acked_, most_in_segment);
    if (next_ > acked_) set_timer(repeat, repeat_after());
  } else if (state_ == State::syn_received && segment.ack == 1 && acked_ == 1) {
    state_ = State::established;
  }
  if (acked_ == 0) acked_ = 1;
  push();
}

void Socket::fin_acknowledged() {
  switch (state_) {
    case State::fin_wait_1:
      state_ = State::fin_wait_2;
      if (orphan_) {
        set_timer(end_of_life, closed_for);
      } else {
        tell();
      }
      break;
    case State::closing:
      state_ = State::time_wait;
      in_shut_ = out_shut_ = true;
      set_timer(end_of_life, closed_for);
      tell();
      break;
    case State::last_ack:
      become_closed();
      break;
    default:
      break;
  }
}

// Bytes, and a FIN.
void Socket::shift(const Segment& segment) {
  const auto known = static_cast<std::size_t>(expected_ - segment.seq);
  const std::string fresh =
      known < segment.bytes.size() ? segment.bytes.substr(known) : std::string();
  if (!fresh.empty()) {
    if (in_shut_ || state_ == State::time_wait) {
      // Nobody will read it.
      if (done_) return;
      send_reset();
      return become_closed();
    }
    const std::string taken = fresh.substr(0, window());
    in_ += taken;
    expected_ += taken.size();
    if (taken.size() < fresh.size()) {
      answer();
      return tell();
    }
  }
  if (segment.fin) {
    on_fin();
  } else if (fresh.empty()) {
    return;  // an acknowledgement
  }
  if (state_ != State::closed) answer();
  tell();
}

void Socket::on_fin() {
  ++expected_;
  in_shut_ = done_ = true;
  switch (state_) {
    case State::syn_received:
    case State::established:
      state_ = State::close_wait;
      break;
    case State::fin_wait_1:
      state_ = State::closing;
      break;
    case State::fin_wait_2:
      state_ = State::time_wait;
      out_shut_ = true;
      set_timer(end_of_life, closed_for);
      break;
    default:
      break;
  }
}

// tcp_reset()
void Socket::on_reset() {
  if (state_ == State::time_wait) return become_closed();
  if (state_ == State::syn_sent) return fail(ECONNREFUSED);
  fail(state_ == State::close_wait ? EPIPE : ECONNRESET);
}

void Socket::fail(int error) {
  error_ = error;
  become_closed();
}

void Socket::become_closed() {
  state_ = State::closed;
  in_shut_ = out_shut_ = true;
  stop_timer(repeat);
  stop_timer(keepalive);
  stop_timer(end_of_life);
  tell();
}

}  // namespace finhold::simulation
