#include "bulk.h"

#include <cerrno>
#include <cstring>
#include <string>
#include <sys/socket.h>

namespace bench {
namespace {

constexpr std::size_t kMostDiscarded = 4 * 1024 * 1024;

enum class Side : std::uint8_t { client, server };

// One end of a bulk session. Checks every byte, that the end comes after the last one, and that all
// that was sent has arrived by then.
class BulkEnd : public Source {
 public:
  BulkEnd(Run& run, Side side, int fd, std::uint32_t id)
      : run_(run),
        side_(side),
        fd_(fd),
        id_(id),
        header_sent_(side == Side::server),
        in_(run.streams[id].flows[side == Side::server ? 0 : 1]),
        out_(run.streams[id].flows[side == Side::server ? 1 : 0]) {}

  // What to wait for.
  std::uint32_t interest() const {
    const bool sends = !header_sent_ || (out_.wanted && !out_.finished);
    return (in_.ended ? 0U : std::uint32_t{EPOLLIN}) | (sends ? std::uint32_t{EPOLLOUT} : 0U);
  }

  bool take(std::span<const char> bytes) {
    const std::uint32_t flow = id_ * 2 + (side_ == Side::server ? 0 : 1);
    run_.report.checked += bytes.size();
    if (!run_.pattern.matches(flow, in_.received, bytes)) {
      error("wrong bytes in the " + std::to_string(bytes.size()) + " from position " +
            std::to_string(in_.received));
      return false;
    }
    count(bytes.size());
    return true;
  }

  void on_ready(std::uint32_t events) override {
    const std::uint32_t before = interest();
    bool open = true;
    if ((events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0) open = in_.ended || receive();
    if (open && (events & EPOLLOUT) != 0) open = send();
    // The other way has nothing to send, or has sent it all.
    const bool over = in_.ended && (!out_.wanted || out_.finished);
    if (!open || over) {
      close();
    } else if (interest() != before) {
      run_.loop.change(fd_, interest());
    }
  }

 private:
  void count(std::size_t bytes) {
    in_.received += bytes;
    run_.report.bytes += bytes;
  }

  // False if the session is over.
  bool receive() {
    // Sampling keeps the load generator cheap; the number of bytes and the end are always checked.
    const bool discard = run_.options.sample && ++reads_ % 32 != 0;
    const ssize_t got = discard ? recv(fd_, nullptr, kMostDiscarded, MSG_TRUNC)
                                : recv(fd_, run_.scratch.data(), run_.options.chunk, 0);
    if (got > 0) {
      const auto size = static_cast<std::size_t>(got);
      if (!discard) return take({run_.scratch.data(), size});
      count(size);
      return true;
    }
    if (got < 0) {
      if (errno == EAGAIN || errno == EINTR) return true;
      if (errno == ECONNRESET) {
        ++(side_ == Side::client ? run_.report.resets_at_client : run_.report.resets_at_server);
      }
      error(std::strerror(errno));
      return false;
    }
    ++(side_ == Side::client ? run_.report.ends_at_client : run_.report.ends_at_server);
    in_.ended = true;
    // A flow that carries nothing ends only because the other flow has.
    const bool due = in_.wanted ? in_.finished : out_.finished;
    if (!due) error("an end that nobody sent");
    if (in_.received != in_.sent) {
      error(std::to_string(in_.sent) + " bytes sent, " + std::to_string(in_.received) + " arrived");
    }
    return true;
  }

  bool send() {
    if (!header_sent_) {
      Header header;
      header.kind = Header::Kind::bulk;
      header.id = id_;
      const ssize_t put = ::send(fd_, &header, sizeof header, MSG_NOSIGNAL);
      if (put < 0) return retry();
      header_sent_ = true;
      return true;
    }
    if (!out_.wanted || out_.finished) return true;
    if (run_.over()) {
      out_.finished = true;
      send_end(fd_);
      return true;
    }
    const std::uint32_t flow = id_ * 2 + (side_ == Side::server ? 1 : 0);
    const std::span<const char> bytes = run_.pattern.at(flow, out_.sent, run_.options.chunk);
    const ssize_t put = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (put < 0) return retry();
    out_.sent += static_cast<std::uint64_t>(put);
    return true;
  }

  bool retry() {
    if (errno == EAGAIN || errno == EINTR) return true;
    error(std::strerror(errno));
    return false;
  }

  void error(const std::string& what) {
    run_.report.error((side_ == Side::client ? "client, stream " : "server, stream ") +
                      std::to_string(id_) + ": " + what);
  }

  void close() {
    --(side_ == Side::client ? run_.open_at_client : run_.open_at_server);
    run_.loop.close(fd_);
  }

  Run& run_;
  Side side_;
  int fd_;
  std::uint32_t id_;
  bool header_sent_;
  std::uint32_t reads_ = 0;
  Stream::Flow& in_;
  Stream::Flow& out_;
};

}  // namespace

void start_bulk_client(Run& run, std::uint32_t id) {
  Stream& stream = run.streams.emplace_back();
  stream.flows[0].wanted = run.options.up;
  stream.flows[1].wanted = run.options.down;
  const int fd = connect_to(run.options, id);
  ++run.report.sessions;
  ++run.open_at_client;
  auto end = std::make_unique<BulkEnd>(run, Side::client, fd, id);
  const std::uint32_t interest = end->interest();
  run.loop.add(fd, interest, std::move(end), Loop::Rank::bulk);
}

void become_bulk_server(Run& run, int fd, std::uint32_t id, std::span<const char> bytes) {
  auto end = std::make_unique<BulkEnd>(run, Side::server, fd, id);
  end->take(bytes);
  const std::uint32_t interest = end->interest();
  run.loop.promote(fd, interest, std::move(end));
}

}  // namespace bench
