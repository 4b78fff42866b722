#include "admin/http_client.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <poll.h>
#include <string_view>
#include <sys/socket.h>

#include "net/descriptor.h"

namespace finhold::admin {
namespace {

using base::Mistake;
using Clock = std::chrono::steady_clock;

constexpr auto patience = std::chrono::seconds(5);
constexpr std::size_t largest_answer = std::size_t{64} << 20;

// False: the time has passed.
bool await(int fd, short events, Clock::time_point until) {
  const auto left =
      std::chrono::duration_cast<std::chrono::milliseconds>(until - Clock::now()).count();
  pollfd entry{fd, events, 0};
  return poll(&entry, 1, static_cast<int>(std::max<std::int64_t>(left, 0))) > 0;
}

Mistake not_reached(const base::Address& address, int code) {
  const std::string where = address.text();
  std::string text = "nothing answers at " + where + " (" + base::errno_text(code) + ")";
  if (code == ECONNREFUSED) {
    text +=
        "; does finhold run, and has its configuration [admin] with listen = \"" + where + "\"?";
  }
  return {std::move(text)};
}

Mistake silent(const base::Address& address) {
  return {"finhold at " + address.text() +
          " does not answer within 5s; is it stopped, or is that "
          "another program?"};
}

// The errno of what cannot be done, 0: connected, or will be.
int begin_connect(int fd, const base::Address& address) {
  if (connect(fd, address.raw(), address.length()) == 0 || errno == EINPROGRESS) return 0;
  return errno;
}

int outcome_of_connect(int fd) {
  int code = 0;
  socklen_t length = sizeof code;
  return getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &length) == 0 ? code : errno;
}

}  // namespace

base::Result<Answer, Mistake> http_get(const base::Address& address, const std::string& path) {
  const auto until = Clock::now() + patience;
  const net::Descriptor fd(socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return not_reached(address, errno);
  if (const int code = begin_connect(fd.get(), address)) return not_reached(address, code);
  if (!await(fd.get(), POLLOUT, until)) return silent(address);
  if (const int code = outcome_of_connect(fd.get())) return not_reached(address, code);

  // A new connection has room for it.
  const std::string request = request_for(path, address.without_zone().text());
  if (send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL) !=
      static_cast<ssize_t>(request.size())) {
    return not_reached(address, errno);
  }
  std::string text;
  std::array<char, 16'384> block{};
  while (text.size() <= largest_answer) {
    if (!await(fd.get(), POLLIN, until)) return silent(address);
    const ssize_t got = recv(fd.get(), block.data(), block.size(), 0);
    if (got < 0 && errno == EAGAIN) continue;
    if (got < 0) return not_reached(address, errno);
    if (got == 0) break;
    text.append(block.data(), static_cast<std::size_t>(got));
  }
  auto answer = parse_answer(text);
  if (!answer) {
    return Mistake{"what answers at " + address.text() +
                   " is not finhold's status page; give its address with --admin"};
  }
  return *std::move(answer);
}

}  // namespace finhold::admin
