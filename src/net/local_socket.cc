#include "net/local_socket.h"

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/check.h"

namespace finhold::net {
namespace {

constexpr int kind = SOCK_SEQPACKET | SOCK_CLOEXEC;

base::Error last_error(const char* operation) { return {errno, operation}; }

struct Name {
  sockaddr_un address{};
  socklen_t length = 0;

  explicit Name(std::string_view text) {
    FINHOLD_CHECK(text.size() < sizeof address.sun_path);
    address.sun_family = AF_UNIX;
    // A first byte of 0 makes it abstract.
    std::memcpy(&address.sun_path[1], text.data(), text.size());
    length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + text.size());
  }
  [[nodiscard]] const sockaddr* raw() const { return reinterpret_cast<const sockaddr*>(&address); }
};

}  // namespace

base::Result<Descriptor> listen_local(std::string_view name) {
  const Name where(name);
  Descriptor fd(socket(AF_UNIX, kind, 0));
  if (!fd.valid()) return last_error("socket");
  if (bind(fd.get(), where.raw(), where.length) != 0) return last_error("bind");
  if (listen(fd.get(), 16) != 0) return last_error("listen");
  return fd;
}

base::Result<Descriptor> connect_local(std::string_view name) {
  const Name where(name);
  Descriptor fd(socket(AF_UNIX, kind | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return last_error("socket");
  if (connect(fd.get(), where.raw(), where.length) != 0) return last_error("connect");
  return fd;
}

base::Result<std::pair<Descriptor, Descriptor>> local_pair() {
  std::array<int, 2> fds{};
  if (socketpair(AF_UNIX, kind, 0, fds.data()) != 0) return last_error("socketpair");
  return std::pair{Descriptor(fds[0]), Descriptor(fds[1])};
}

bool send_packet(int fd, std::string_view packet) {
  return send(fd, packet.data(), packet.size(), MSG_NOSIGNAL) ==
         static_cast<ssize_t>(packet.size());
}

std::optional<std::string> receive_packet(int fd, std::chrono::milliseconds within) {
  pollfd readable{fd, POLLIN, 0};
  if (poll(&readable, 1, static_cast<int>(within.count())) != 1) return std::nullopt;
  std::string packet(8192, '\0');
  const ssize_t length = recv(fd, packet.data(), packet.size(), 0);
  packet.resize(length > 0 ? static_cast<std::size_t>(length) : 0);
  return packet;
}

void finish_sending(int fd) { static_cast<void>(shutdown(fd, SHUT_WR)); }

bool has_ended(int fd, int also, std::chrono::milliseconds within) {
  std::array<pollfd, 2> ends{{{fd, POLLRDHUP, 0}, {also, POLLRDHUP, 0}}};
  return poll(ends.data(), ends.size(), static_cast<int>(within.count())) > 0 &&
         ends[0].revents != 0;
}

}  // namespace finhold::net
