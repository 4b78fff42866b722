#include "net/unix_socket.h"

#include <array>
#include <cerrno>
#include <poll.h>
#include <sys/socket.h>

namespace finhold::net {
namespace {

constexpr int kind = SOCK_SEQPACKET | SOCK_CLOEXEC;

base::Error last_error(const char* operation) { return {errno, operation}; }

}  // namespace

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

bool has_ended(int fd, std::chrono::milliseconds within) {
  pollfd end{fd, POLLRDHUP, 0};
  return poll(&end, 1, static_cast<int>(within.count())) > 0;
}

}  // namespace finhold::net
