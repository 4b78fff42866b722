#include "exchange.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <netinet/tcp.h>
#include <string>
#include <sys/socket.h>
#include <vector>

namespace bench {
namespace {

std::vector<int>& held_descriptors() {
  static std::vector<int> descriptors;
  return descriptors;
}

bool try_later() { return errno == EAGAIN || errno == EINTR; }

// Requests and responses carry pattern bytes of flows of their own, so an answer to another
// request, or to another session, is seen.
std::uint32_t request_flow(std::uint32_t id) { return id * 2; }
std::uint32_t response_flow(std::uint32_t id) { return id * 2 + 1; }

class ExchangeClient : public Source {
 public:
  ExchangeClient(Run& run, int fd, std::uint32_t id, Then then, Clock::time_point begun)
      : run_(run), fd_(fd), id_(id), then_(then), begun_(begun) {}

  // Sends the next request; false if the socket does not take it yet, as it is not connected.
  bool request() {
    Header header;
    header.after = then_ == Then::wait    ? Header::After::end
                   : then_ == Then::reset ? Header::After::be_reset
                                          : Header::After::nothing;
    header.id = id_;
    header.number = number_;
    const std::size_t size = run_.options.request;
    std::array<char, kMostRequest> bytes;
    std::memcpy(bytes.data(), &header, sizeof header);
    const auto payload = run_.pattern.at(request_flow(id_), number_ * size, size - sizeof header);
    std::memcpy(bytes.data() + sizeof header, payload.data(), payload.size());
    const ssize_t put = send(fd_, bytes.data(), size, MSG_NOSIGNAL);
    if (put < 0 && try_later()) return false;
    if (put != static_cast<ssize_t>(size)) error(put < 0 ? std::strerror(errno) : "a short send");
    requested_ = true;
    return true;
  }

  void on_ready(std::uint32_t events) override {
    if (events == 0) return resume();
    if (!requested_ && (events & EPOLLOUT) != 0) {
      if (!request()) return;
      run_.loop.change(fd_, EPOLLIN);
    }
    if ((events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0) receive();
  }

 private:
  void receive() {
    const ssize_t got = recv(fd_, run_.scratch.data(), kChunk, 0);
    if (got < 0) {
      if (try_later()) return;
      if (errno == ECONNRESET) ++run_.report.resets_at_client;
      error(std::strerror(errno));
      return close();
    }
    if (got == 0) {
      ++run_.report.ends_at_client;
      // A hold or a wait has finished only when its response is here, and ends as asked.
      if (!finished_) error("an end before the response");
      return close();
    }
    const auto size = static_cast<std::size_t>(got);
    const std::uint64_t position = number_ * run_.options.response + have_;
    have_ += size;
    run_.report.checked += size;
    if (finished_ || have_ > run_.options.response ||
        !run_.pattern.matches(response_flow(id_), position, {run_.scratch.data(), size})) {
      error("a wrong response");
      return close();
    }
    if (have_ == run_.options.response) answered();
  }

  void answered() {
    const Clock::time_point now = Clock::now();
    if (now < run_.deadline || run_.options.total != 0) {
      run_.report.latency(now - begun_);
      ++run_.report.transactions;
    }
    ++number_;
    have_ = 0;
    if (then_ == Then::end && now < run_.deadline) {
      if (run_.options.pace == 0) {
        begun_ = now;
        request();
      } else {
        const auto pause = std::chrono::duration<double>(run_.options.pace);
        run_.pauses.push_back({now + std::chrono::duration_cast<Clock::duration>(pause), fd_});
      }
      return;
    }
    finished_ = true;
    if (then_ == Then::reset) arm_reset(fd_);
    if (then_ == Then::close || then_ == Then::reset) return close();
    if (then_ == Then::end || run_.released) send_end(fd_);
    if (then_ == Then::hold) {
      ++run_.held;
      held_descriptors().push_back(fd_);
    }
  }

  // After a pause.
  void resume() {
    begun_ = Clock::now();
    if (begun_ < run_.deadline) {
      request();
    } else {
      finished_ = true;
      send_end(fd_);
    }
  }

  void error(const std::string& what) {
    run_.report.error("client, session " + std::to_string(id_) + ": " + what);
  }

  void close();

  Run& run_;
  int fd_;
  std::uint32_t id_;
  Then then_;
  bool requested_ = false;
  bool finished_ = false;
  std::uint64_t number_ = 0;
  std::size_t have_ = 0;
  Clock::time_point begun_;
};

bool is_short(Then then) {
  return then == Then::close || then == Then::wait || then == Then::reset;
}

// Closes, and begins the next one if this was a short session.
void ExchangeClient::close() {
  Run& run = run_;
  const bool follow =
      is_short(then_) && run.report.errors < 100 &&
      (run.options.total != 0 ? run.report.sessions < run.options.total : !run.over());
  --run.open_at_client;
  run.loop.close(fd_);  // destroys *this
  if (!follow) return;
  const auto id = static_cast<std::uint32_t>(run.report.sessions);
  // Churn mixes the ways to end; the rate is measured with one.
  const Then next = run.options.mode != "churn" ? Then::close
                    : id % 8 == 7               ? Then::reset
                    : id % 2 == 1               ? Then::wait
                                                : Then::close;
  start_exchange_client(run, id, next);
}

class ExchangeServer : public Source {
 public:
  ExchangeServer(Run& run, int fd) : run_(run), fd_(fd) {}

  // False if the session is over.
  bool take(std::span<const char> bytes) {
    const std::size_t size = run_.options.request;
    run_.report.checked += bytes.size();
    while (!bytes.empty()) {
      const std::size_t part = std::min(size - have_, bytes.size());
      std::memcpy(request_.data() + have_, bytes.data(), part);
      have_ += part;
      bytes = bytes.subspan(part);
      if (have_ == size && !answer()) return false;
    }
    return true;
  }

  void on_ready(std::uint32_t /*events*/) override {
    const ssize_t got = recv(fd_, run_.scratch.data(), kChunk, 0);
    if (got > 0) {
      if (!take({run_.scratch.data(), static_cast<std::size_t>(got)})) close();
      return;
    }
    if (got < 0 && try_later()) return;
    const bool reset = got < 0 && errno == ECONNRESET;
    if (reset) {
      ++run_.report.resets_at_server;
      if (last_.after != Header::After::be_reset) error("a reset that nobody sent");
    } else if (got == 0) {
      ++run_.report.ends_at_server;
      if (have_ != 0) error("an end inside a request");
    } else {
      error(std::strerror(errno));
    }
    close();
  }

 private:
  bool answer() {
    std::memcpy(&last_, request_.data(), sizeof last_);
    const std::size_t size = run_.options.request;
    const std::span<const char> payload(request_.data() + sizeof last_, size - sizeof last_);
    have_ = 0;
    if (last_.number != expected_++ ||
        !run_.pattern.matches(request_flow(last_.id), last_.number * size, payload)) {
      error("a wrong request");
      return false;
    }
    const auto bytes = run_.pattern.at(response_flow(last_.id),
                                       last_.number * run_.options.response, run_.options.response);
    const ssize_t put = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (put != static_cast<ssize_t>(bytes.size())) {
      error(put < 0 ? std::strerror(errno) : "a short send");
      return false;
    }
    if (last_.after == Header::After::end) send_end(fd_);
    return true;
  }

  void error(const std::string& what) {
    run_.report.error("server, session " + std::to_string(last_.id) + ": " + what);
  }

  void close() {
    --run_.open_at_server;
    run_.loop.close(fd_);
  }

  Run& run_;
  int fd_;
  Header last_ = {};
  std::uint64_t expected_ = 0;
  std::size_t have_ = 0;
  std::array<char, kMostRequest> request_;
};

}  // namespace

void start_exchange_client(Run& run, std::uint32_t id, Then then) {
  const Clock::time_point begun = Clock::now();
  const int fd = connect_to(run.options, id);
  if (!is_short(then)) {
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  ++run.report.sessions;
  ++run.open_at_client;
  auto client = std::make_unique<ExchangeClient>(run, fd, id, then, begun);
  // On loopback it is connected by now.
  const std::uint32_t interest = client->request() ? EPOLLIN : EPOLLOUT;
  run.loop.add(fd, interest, std::move(client));
}

void release_held(Run& run) {
  run.released = true;
  for (const int fd : held_descriptors()) send_end(fd);
}

std::chrono::milliseconds resume_paused(Run& run) {
  const Clock::time_point now = Clock::now();
  while (!run.pauses.empty() && run.pauses.front().until <= now) {
    const int fd = run.pauses.front().fd;
    run.pauses.pop_front();
    run.loop.nudge(fd);
  }
  return std::chrono::milliseconds(run.pauses.empty() ? 100 : 1);
}

void become_exchange_server(Run& run, int fd, std::span<char> bytes) {
  auto server = std::make_unique<ExchangeServer>(run, fd);
  const bool open = server->take(bytes);
  if (!open) {
    --run.open_at_server;
    run.loop.close(fd);
    return;
  }
  run.loop.replace(fd, std::move(server));
}

}  // namespace bench
