#include "simulation/application.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

namespace finhold::simulation {
namespace {

// The byte at a place of a stream. The period is no power of two, so that no buffer's size hides a
// byte that is lost or twice there.
char byte_at(int stream, std::uint64_t place) {
  return static_cast<char>((place * 7 + static_cast<std::uint64_t>(stream) * 101) % 251);
}

}  // namespace

std::string describe(const Script& script) {
  constexpr std::array names{"send",   "end",   "close",       "abort",    "pause",
                             "resume", "sleep", "await-bytes", "await-end"};
  std::string text;
  for (const Step& step : script) {
    if (!text.empty()) text += ", ";
    text += names.at(static_cast<std::size_t>(step.kind));
    if (step.kind == Step::Kind::sleep) {
      text += " " + std::to_string(step.amount / ms) + " ms";
    } else if (step.amount > 0) {
      text += " " + std::to_string(step.amount);
    }
  }
  return text.empty() ? "reads to the end" : text;
}

std::string describe(const Seen& seen) {
  constexpr std::array names{"its own close", "the end", "a failure", "ETIMEDOUT",
                             "nothing for hours"};
  std::string text = "received " + std::to_string(seen.received) + ", then " +
                     names.at(static_cast<std::size_t>(seen.last)) + " after " +
                     std::to_string(seen.last_at / ms) + " ms; sent " + std::to_string(seen.sent);
  if (!seen.connected) text += "; was never connected";
  if (seen.wrong_bytes) text += "; WRONG BYTES";
  return text;
}

void Application::start(Socket& socket) {
  socket_ = &socket;
  socket.hold(*this);
  if (socket.is_connected()) go_on();
}

void Application::on_socket(Socket&) { go_on(); }

void Application::on_event(std::uint64_t) {
  sleeping_ = false;
  slept_ = true;
  go_on();
}

void Application::give_up() {
  if (over_) return;
  seen_.last = Seen::Last::stalled;
  over_ = true;
}

// Everything that it can do now. What it does may come back here.
void Application::go_on() {
  if (busy_ || over_ || socket_ == nullptr) return;
  busy_ = true;
  if (socket_->is_connected()) seen_.connected = true;
  if (seen_.connected || socket_->state() == Socket::State::closed) {
    read();
    while (!over_ && !sleeping_ && step_ < script_.size() && do_step(script_[step_])) {
      ++step_;
      sent_in_step_ = 0;
      slept_ = false;
      read();
    }
    if (!over_ && step_ == script_.size()) {
      reading_ = true;
      read();
      if (seen_.last != Seen::Last::nothing) finish(false);
    }
  }
  busy_ = false;
}

// False: it waits.
bool Application::do_step(const Step& step) {
  switch (step.kind) {
    case Step::Kind::send:
      return send(step.amount);
    case Step::Kind::end:
      if (socket_->shutdown_write() == 0) seen_.did_end = true;
      return true;
    case Step::Kind::close:
      finish(false);
      return true;
    case Step::Kind::abort:
      finish(true);
      return true;
    case Step::Kind::pause:
      reading_ = false;
      return true;
    case Step::Kind::resume:
      reading_ = true;
      return true;
    case Step::Kind::sleep:
      if (slept_) return true;
      sleeping_ = true;
      agenda_.plan(agenda_.now() + step.amount, *this, 0);
      agenda_.expect(agenda_.now() + step.amount);
      return false;
    case Step::Kind::await_bytes:
      reading_ = true;
      read();
      return seen_.received >= step.amount || seen_.last != Seen::Last::nothing;
    case Step::Kind::await_end:
      reading_ = true;
      read();
      return seen_.last != Seen::Last::nothing;
  }
  return true;
}

bool Application::send(std::uint64_t amount) {
  std::array<char, 4096> piece{};
  while (sent_in_step_ < amount && !cannot_write_) {
    const auto count =
        static_cast<std::size_t>(std::min<std::uint64_t>(piece.size(), amount - sent_in_step_));
    for (std::size_t i = 0; i < count; ++i) piece[i] = byte_at(stream_, seen_.sent + i);
    int error = 0;
    const long taken = socket_->send(std::span(piece).first(count), error);
    if (taken < 0) {
      if (error == EAGAIN) return false;
      cannot_write_ = true;
      break;
    }
    agenda_.expect();
    seen_.sent += static_cast<std::uint64_t>(taken);
    sent_in_step_ += static_cast<std::uint64_t>(taken);
  }
  return true;
}

void Application::read() {
  std::array<char, 4096> piece{};
  while (reading_ && !over_ && seen_.last == Seen::Last::nothing) {
    int error = 0;
    const long count = socket_->receive(piece, false, error);
    if (count > 0) {
      agenda_.expect();
      for (long i = 0; i < count; ++i) {
        const char expected = byte_at(other_stream_, seen_.received);
        if (piece[static_cast<std::size_t>(i)] != expected) seen_.wrong_bytes = true;
        ++seen_.received;
      }
    } else if (count == 0) {
      // Once its error was told to somebody who wrote, a socket that was reset says this too; but
      // this program knows.
      seen_.last =
          cannot_write_ && socket_->state() == Socket::State::closed && !socket_->has_ended()
              ? Seen::Last::failed
              : Seen::Last::end;
    } else if (error == EAGAIN) {
      return;
    } else {
      seen_.last = error == ETIMEDOUT ? Seen::Last::timed_out : Seen::Last::failed;
    }
    if (seen_.last != Seen::Last::nothing) seen_.last_at = agenda_.now();
  }
}

void Application::finish(bool abort) {
  over_ = true;
  agenda_.expect();
  if (seen_.last == Seen::Last::nothing) seen_.last_at = agenda_.now();
  socket_->set_linger_reset(abort);
  if (abort) {
    seen_.did_abort = true;
  } else if (socket_->unread() == 0 || seen_.did_end) {
    seen_.did_end = true;
  }
  socket_->close();
}

}  // namespace finhold::simulation
