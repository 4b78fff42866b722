// Sockets, and the server: it accepts, and learns from the first bytes what kind of session it has.
#include <cerrno>
#include <cstring>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "bulk.h"
#include "exchange.h"
#include "run.h"

namespace bench {
namespace {

void set_option(int fd, int level, int name, int value) {
  if (setsockopt(fd, level, name, &value, sizeof value) != 0) die("setsockopt");
}

const sockaddr* generic(const sockaddr_in& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

// An accepted session of which nothing has arrived yet.
class Newcomer : public Source {
 public:
  Newcomer(Run& run, int fd) : run_(run), fd_(fd) {}

  void on_ready(std::uint32_t /*events*/) override {
    const ssize_t got = recv(fd_, run_.scratch.data(), run_.options.chunk, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got < static_cast<ssize_t>(sizeof(Header))) {
      // A header is sent in one piece; a proxy that cuts 16 bytes in two would be worth a look.
      run_.report.error(got < 0    ? std::string("server: ") + std::strerror(errno)
                        : got == 0 ? "server: a session without a byte"
                                   : "server: a header in pieces");
      --run_.open_at_server;
      run_.loop.close(fd_);
      return;
    }
    Header header;
    std::memcpy(&header, run_.scratch.data(), sizeof header);
    const std::span<char> all(run_.scratch.data(), static_cast<std::size_t>(got));
    if (header.kind == Header::Kind::bulk && header.id < run_.streams.size()) {
      become_bulk_server(run_, fd_, header.id, all.subspan(sizeof header));
    } else {
      become_exchange_server(run_, fd_, all);
    }
  }

 private:
  Run& run_;
  int fd_;
};

class Acceptor : public Source {
 public:
  Acceptor(Run& run, int fd) : run_(run), fd_(fd) {}

  void on_ready(std::uint32_t /*events*/) override {
    for (int burst = 0; burst < 64; ++burst) {
      const int fd = accept4(fd_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd < 0) {
        if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) die("accept4");
        return;
      }
      ++run_.report.accepted;
      ++run_.open_at_server;
      run_.loop.add(fd, EPOLLIN, std::make_unique<Newcomer>(run_, fd));
    }
  }

 private:
  Run& run_;
  int fd_;
};

}  // namespace

int connect_to(const Options& options, std::uint32_t source) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) die("socket");
  if (options.sources != 0) {
    // The port is chosen at connect, so that the same one serves several addresses.
    set_option(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
    sockaddr_in from = {};
    from.sin_family = AF_INET;
    from.sin_addr.s_addr = htonl(0x7f4d0001 + 256 * (source % options.sources));  // 127.77.x.1
    if (bind(fd, generic(from), sizeof from) != 0) die("bind");
  }
  if (connect(fd, generic(options.target), sizeof options.target) != 0 && errno != EINPROGRESS) {
    die("connect");
  }
  return fd;
}

int listen_at(const sockaddr_in& address) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) die("socket");
  set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);  // accepted sockets inherit it
  if (bind(fd, generic(address), sizeof address) != 0) die("bind to the server's address");
  if (listen(fd, 4096) != 0) die("listen");
  return fd;
}

void send_end(int fd) { shutdown(fd, SHUT_WR); }

void arm_reset(int fd) {
  const linger abort = {1, 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &abort, sizeof abort);
}

void start_server(Run& run) {
  const int fd = listen_at(run.options.listen);
  run.loop.add(fd, EPOLLIN, std::make_unique<Acceptor>(run, fd));
}

}  // namespace bench
