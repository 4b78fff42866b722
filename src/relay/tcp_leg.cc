#include "relay/tcp_leg.h"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <sys/socket.h>

#include "base/check.h"

namespace finhold::relay {

base::Error TcpLeg::open(net::Descriptor fd, bool registered, bool repeats_often) {
  FINHOLD_CHECK(!is_open());
  const auto error = registered ? poller_->change(fd.get(), net::Poller::every_edge, *this)
                                : poller_->add(fd.get(), net::Poller::every_edge, *this);
  if (error.code != 0) return error;
  fd_ = std::move(fd);
  open_ = true;
  writable_ = true;
  repeats_often_ = repeats_often;
  return {};
}

void TcpLeg::on_ready(std::uint32_t events) {
  if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) end_in_sight_ = true;
  mark_.told(events, poller_->turn());
  if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) readable_ = !ended_ && !spent_;
  if ((events & EPOLLOUT) != 0) writable_ = true;
  const bool failed = (events & EPOLLERR) != 0;
  if (failed && fin_sent_ && !fin_arrived_ && !ended_ && error_ == 0) {
    error_ = ECONNRESET;
    unfetched_ = true;
  } else if (failed && !unfetched_) {
    const int code = net::take_socket_error(fd_.get());
    note_error(code != 0 ? code : ECONNRESET);
  } else if ((events & EPOLLHUP) != 0 && !fin_sent_) {
    note_error(ECONNRESET);  // closed, and not by us: splice_from() has taken the error
  } else if ((events & (EPOLLRDHUP | EPOLLHUP)) != 0 && error_ == 0) {
    fin_arrived_ = true;
  }
  tell_owner();
}

// The kernel has EPIPE, in place of ECONNRESET, for a RST that comes after a FIN (tcp_reset() in
// CLOSE_WAIT; seen on Linux 6.18), also where the poller tells of both at once. Not where our own
// FIN is under way (CLOSING): there only recv() tells, by 0 before the error was fetched, so that
// is left to it. Nothing else fetches it: nothing is written behind a FIN, and a second edge of the
// same failure (the kernel tells of the state and of the error) leaves it alone.
//
// Such a RST is no reset of that flow: its end is real, and its source is now known to be gone. The
// commonest is the one that a keepalive draws from a socket which close()d a minute ago, and whose
// kernel has forgotten it while a slow reader had not read all. (2026-11-25;
// tests/integration/closing/test_delivery.py.)
void TcpLeg::note_error(int code) {
  if (error_ != 0) return;
  error_ = code;
  if (code == EPIPE) fin_arrived_ = true;
}

// Also what the poller has not told yet.
void TcpLeg::read_untold() {
  readable_ = !ended_ && !spent_;
  mark_.forget();
}

// The same question that the poller answers with an edge. Behind a FIN or a RST nothing comes: had
// an urgent byte been before it, the poller would have told of both.
bool TcpLeg::look() {
  if (end_in_sight_) return true;
  const net::Waiting waiting = net::waiting(fd_.get());
  mark_.looked(waiting.urgent);
  return waiting.anything;
}

Leg::Read TcpLeg::read(std::span<std::byte> into) {
  if (mark_.must_look() && !look()) return nothing_read();
  const bool urgent = mark_.in_sight() && net::at_urgent_mark(fd_.get());
  if (urgent) into = into.first(1);
  while (true) {
    const ssize_t count = recv(fd_.get(), into.data(), into.size(), 0);
    if (count > 0) {
      mark_.moved_on(poller_->turn());
      if (urgent) {
        mark_.found();
        return {Read::What::urgent, 1};
      }
      // A short read has emptied the queue, or stands before an urgent byte; what comes later
      // brings a new edge. What is known to have come brings none, so then the reading goes on.
      if (static_cast<std::size_t>(count) < into.size() && !end_in_sight_ && !mark_.in_sight()) {
        readable_ = false;
      }
      return {Read::What::bytes, static_cast<std::size_t>(count)};
    }
    if (count < 0 && errno == EINTR) continue;
    readable_ = false;
    if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return nothing_read();
    if (unfetched_) {
      fin_arrived_ = count == 0;
      fetched(count == 0 ? net::take_socket_error(fd_.get()) : errno);
    }
    // No end, whatever has come: behind a FIN recv() never tells of a reset, but of our own
    // machine's failures, and there may be bytes.
    if (count < 0) {
      note_error(errno);
      return nothing_read();
    }
    if (error_may_be_taken_ && !fin_arrived_ && !fin_sent_ && net::is_closed(fd_.get())) {
      note_error(ECONNRESET);
    }
    // Once the error was fetched, by whomever, recv() goes on to 0: that is an end only if a FIN
    // came before the failure, and then it is one whatever came later (R4).
    if (error_ != 0 && !fin_arrived_) return nothing_read();
    ended_ = true;
    return {Read::What::end};
  }
}

// Of a leg that has failed nothing more is read: bytes may still come to one that was given up,
// whose socket lives.
Leg::Read TcpLeg::nothing_read() {
  readable_ = false;
  spent_ = error_ != 0;
  return {spent_ ? Read::What::failed : Read::What::nothing};
}

void TcpLeg::fetched(int code) {
  unfetched_ = false;
  if (code != 0) error_ = code;
}

// A FIN that was told of before has all bytes before it, so what is found now is all.
TcpLeg::Peek TcpLeg::peek(std::span<std::byte> into) {
  const ssize_t count = recv(fd_.get(), into.data(), into.size(), MSG_PEEK);
  if (count >= 0) return {static_cast<std::size_t>(count), fin_arrived_};
  if (errno != EAGAIN && errno != EINTR) note_error(errno);
  return {0, fin_arrived_};
}

// All of it is there, so once is enough. Copied once more, a few hundred bytes: with MSG_TRUNC and
// no buffer the kernel copies nothing, but ThreadSanitizer takes that for writes to address 0.
bool TcpLeg::skip(std::span<std::byte> seen) {
  mark_.moved_on(poller_->turn());
  return recv(fd_.get(), seen.data(), seen.size(), 0) == static_cast<ssize_t>(seen.size());
}

std::size_t TcpLeg::write(std::span<const std::byte> bytes, bool urgent) {
  const int flags = MSG_NOSIGNAL | (urgent ? MSG_OOB : 0);
  std::size_t taken = 0;
  unanswered_ = true;
  while (taken < bytes.size()) {
    const ssize_t count = send(fd_.get(), bytes.data() + taken, bytes.size() - taken, flags);
    if (count >= 0) {
      taken += static_cast<std::size_t>(count);
      if (taken == bytes.size()) break;
      // A short write has filled the send buffer; room in it brings an edge.
      writable_ = false;
      break;
    }
    if (errno == EINTR) continue;
    writable_ = false;
    if (errno == EAGAIN || errno == EWOULDBLOCK) break;
    write_failed(errno);
    break;
  }
  return taken;
}

// What arrived before the RST can still be read, also if its edge has not been told yet.
void TcpLeg::write_failed(int code) {
  note_error(code == EPIPE && error_may_be_taken_ ? ECONNRESET : code);
  read_untold();
}

Leg::Read TcpLeg::splice_to(net::Pipe& pipe, std::size_t most) {
  FINHOLD_CHECK(pipe.bytes == 0);
  while (true) {
    const ssize_t count = splice(fd_.get(), nullptr, pipe.write_end.get(), nullptr, most,
                                 SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    if (count > 0) {
      // No short count proves that the socket is empty: the pipe may have run out of slots, of
      // which each fragment takes one.
      mark_.moved_on(poller_->turn());
      pipe.bytes = static_cast<std::size_t>(count);
      return {Read::What::bytes, pipe.bytes};
    }
    if (count == 0) return {Read::What::unclear};
    if (errno == EINTR) continue;
    const bool empty = errno == EAGAIN;
    if (!empty && errno != EINVAL && unfetched_) fetched(errno);
    if (!empty && errno != EINVAL) note_error(errno);
    // At the urgent mark it fails like at the end of the queue, also if there is more behind it.
    if (!empty || mark_.in_sight() || error_ != 0) return {Read::What::unclear};
    readable_ = false;
    return {Read::What::nothing};
  }
}

// The kernel sends what is in a pipe by several sends in one call. Where a later one of these
// fails, the call tells how much the others took, and the error is not in the socket any more: the
// poller has EPOLLHUP without EPOLLERR then, recv() 0 and a write EPIPE, as after a FIN. So after a
// call that took a part none of these is believed to be one; if a FIN did come in the same moment,
// its flow is reset, and truncated data never looks like a clean end. (2026-11-28, Linux 6.18,
// splice_to_socket(); of readers that reset amid bulk one of seven ended cleanly for their sender.
// tests/integration/closing/test_reset.py.)
std::size_t TcpLeg::splice_from(net::Pipe& pipe) {
  const std::size_t before = pipe.bytes;
  unanswered_ = true;
  while (pipe.bytes > 0) {
    const ssize_t count = splice(pipe.read_end.get(), nullptr, fd_.get(), nullptr, pipe.bytes,
                                 SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    if (count < 0 && errno == EINTR) continue;
    if (count > 0) pipe.bytes -= static_cast<std::size_t>(count);
    if (count > 0) error_may_be_taken_ = pipe.bytes > 0;
    if (pipe.bytes == 0) break;
    // Like a short write: the send buffer is full, and room in it brings an edge.
    writable_ = false;
    if (count < 0 && errno != EAGAIN) write_failed(errno);
    break;
  }
  return before - pipe.bytes;
}

void TcpLeg::send_fin() {
  FINHOLD_CHECK(!fin_sent_);
  fin_sent_ = true;
  unanswered_ = true;
  // The kernel itself refuses it only to a connection that has failed meanwhile, and of that comes
  // an event; of what a security module refuses there comes none.
  if (shutdown(fd_.get(), SHUT_WR) != 0 && errno != ENOTCONN) write_failed(errno);
}

base::Result<base::Address> TcpLeg::local_address() const { return net::local_address(fd_.get()); }

int TcpLeg::unacknowledged() const { return net::unacknowledged_bytes(fd_.get()); }

int TcpLeg::undelivered() const { return std::max(unacknowledged() - (fin_sent_ ? 1 : 0), 0); }

bool TcpLeg::all_sent() const { return net::unsent_bytes(fd_.get()) == 0; }

base::Milliseconds TcpLeg::round_trip() const { return net::round_trip(fd_.get()); }

base::Milliseconds TcpLeg::least_round_trip() const { return net::least_round_trip(fd_.get()); }

std::uint64_t TcpLeg::last_answer_ms() const { return net::answers(fd_.get()).last_answer_ms; }

bool TcpLeg::holds_bytes() const { return net::unread_bytes(fd_.get()) > 0; }

void TcpLeg::set_keepalive(const net::KeepaliveOptions& keepalive) {
  net::set_keepalive(fd_.get(), keepalive);
  repeats_often_ = repeats_often_ || keepalive.longest_repeat_s != 0;
}

bool TcpLeg::failed_by_probe() const {
  return error_ == ETIMEDOUT || net::probe_unanswered(fd_.get());
}

bool TcpLeg::close_in_order(bool delivered) {
  if (error_ == 0) {
    if (delivered && !fin_sent_) send_fin();
    const bool waits = delivered ? unacknowledged() > 0 : net::unsent_bytes(fd_.get()) > 0;
    if (waits) {
      if (!fin_sent_) send_fin();
      if (error_ == 0) {
        disarmed_ = true;
        net::disarm_linger(fd_.get());
        return false;
      }
    }
  }
  close_now();
  return true;
}

void TcpLeg::close_now() {
  if (repeats_often_ && open_) net::repeat_as_usual(fd_.get());
  net::disarm_linger(fd_.get());
  close_socket();
}

// SO_LINGER {1, 0} is armed already, unless the leg has waited in close_in_order().
void TcpLeg::reset() {
  if (disarmed_ && open_) net::arm_linger(fd_.get());
  close_socket();
}

void TcpLeg::close_socket() {
  if (open_) tell_closing();
  poller_->forget(*this);
  fd_.close();
  open_ = readable_ = writable_ = false;
}

bool TcpLeg::check_answers(std::uint64_t vanished_after_ms) {
  if (!unanswered_ || error_ != 0) return false;
  const net::Answers answers = net::answers(fd_.get());
  unanswered_ = answers.outstanding;
  if (!answers.outstanding || !answers.repeating || answers.last_answer_ms < vanished_after_ms) {
    return false;
  }
  error_ = ETIMEDOUT;
  read_untold();
  return true;
}

}  // namespace finhold::relay
