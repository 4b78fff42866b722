#include "simulation/system_calls.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdarg>
#include <cstring>
#include <ctime>
#include <deque>
#include <fcntl.h>
#include <initializer_list>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/sockios.h>
#include <map>
#include <memory>
#include <netinet/in.h>
#include <span>
#include <string>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <unordered_map>
#include <utility>
#include <vector>

// struct tcp_info with all fields, see net/socket.cc.
#include <linux/tcp.h>
// <poll.h> says that poll() only writes what it is given.
#include <linux/poll.h>

namespace finhold::simulation {
namespace {

constexpr int first_descriptor = 1 << 20;
// The clock's beginning, so that no time is 0.
constexpr Time begin = 1000 * s;

struct Pipe {
  std::string bytes;
};

struct Epoll;

struct Watch {
  Epoll* epoll = nullptr;
  epoll_event wanted{};
  bool ready = false;  // in the epoll's queue
};

struct Descriptor final : Socket::Holder {
  enum class Kind : std::uint8_t {
    socket,
    unconnected,
    listening,
    pipe_read,
    pipe_write,
    epoll,
    diag,
  };
  Kind kind = Kind::unconnected;
  Socket* socket = nullptr;
  std::shared_ptr<Pipe> pipe;
  std::unique_ptr<Epoll> epoll;
  std::string answer;             // of diag
  std::deque<Socket*> arrived{};  // of listening
  Watch watch;
  int number = -1;
  // As set before it was connected.
  bool linger_reset = false;
  bool keepalive = false;
  int keepalive_idle = 7200;
  int keepalive_interval = 75;
  int keepalive_probes = 9;

  void on_socket(Socket&) override;
};

struct Epoll {
  std::deque<int> ready;
  std::size_t real = 0;  // watched, and not the model's
};

struct Calls {
  World* world = nullptr;
  std::unordered_map<int, std::unique_ptr<Descriptor>> open;
  int next = first_descriptor;
  std::uint64_t waits = 0;
};

Calls& calls() {
  static Calls one;
  return one;
}

void tell(Descriptor& descriptor) {
  Watch& watch = descriptor.watch;
  if (watch.epoll == nullptr || watch.ready) return;
  watch.ready = true;
  watch.epoll->ready.push_back(descriptor.number);
}

void Descriptor::on_socket(Socket&) { tell(*this); }

Descriptor* find(int fd) {
  if (fd < first_descriptor) return nullptr;
  const auto found = calls().open.find(fd);
  return found == calls().open.end() ? nullptr : found->second.get();
}

Descriptor& make(Descriptor::Kind kind) {
  Calls& all = calls();
  auto descriptor = std::make_unique<Descriptor>();
  descriptor->kind = kind;
  descriptor->number = all.next++;
  Descriptor& made = *descriptor;
  all.open.emplace(made.number, std::move(descriptor));
  return made;
}

long failed(int error) {
  errno = error;
  return -1;
}

// Whether this call is the one that is to fail; `errors`: what it may fail with (its manual page).
bool is_to_fail(std::initializer_list<int> errors) {
  World* const world = calls().world;
  if (world == nullptr || world->fails_at == 0 || --world->fails_at != 0) return false;
  errno = *(errors.begin() + world->fails_with % errors.size());
  world->trace("a system call of finhold's fails with errno " + std::to_string(errno));
  return true;
}

void take_options(Descriptor& descriptor) {
  Socket& socket = *descriptor.socket;
  socket.set_linger_reset(descriptor.linger_reset);
  socket.set_keepalive(descriptor.keepalive);
  socket.set_keepalive_interval(static_cast<Time>(descriptor.keepalive_interval) * s);
  socket.set_keepalive_probes(descriptor.keepalive_probes);
  socket.set_keepalive_idle(static_cast<Time>(descriptor.keepalive_idle) * s);
}

sockaddr_in address_of(const EndAddress& end) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(end.port);
  address.sin_addr.s_addr = htonl(0x0a000000U + end.host);
  return address;
}

EndAddress end_of(std::uint32_t address, std::uint16_t port) {
  return {ntohl(address) & 0xffU, ntohs(port)};
}

int tell_address(const EndAddress& end, sockaddr* into, socklen_t* length) {
  const sockaddr_in address = address_of(end);
  std::memcpy(into, &address, std::min<std::size_t>(*length, sizeof address));
  *length = sizeof address;
  return 0;
}

std::uint32_t ready_now(Descriptor& descriptor) {
  if (descriptor.kind == Descriptor::Kind::listening)
    return descriptor.arrived.empty() ? 0U : std::uint32_t{EPOLLIN};
  if (descriptor.kind != Descriptor::Kind::socket) return 0;
  return descriptor.socket->poll();
}

// Events of the epoll's descriptors, as many as there is room for. Edge-triggered ones once.
int collect(Epoll& epoll, std::span<epoll_event> into) {
  std::size_t count = 0;
  std::vector<int> again;
  while (!epoll.ready.empty() && count < into.size()) {
    const int fd = epoll.ready.front();
    epoll.ready.pop_front();
    Descriptor* const descriptor = find(fd);
    if (descriptor == nullptr || descriptor->watch.epoll != &epoll) continue;
    Watch& watch = descriptor->watch;
    watch.ready = false;
    const std::uint32_t events =
        ready_now(*descriptor) & (watch.wanted.events | EPOLLERR | EPOLLHUP);
    if (events == 0) continue;
    into[count].events = events;
    into[count].data = watch.wanted.data;
    ++count;
    if ((watch.wanted.events & EPOLLET) == 0) again.push_back(fd);
  }
  for (const int fd : again) tell(*find(fd));
  return static_cast<int>(count);
}

// As the kernel answers a question by sock_diag about a socket of finhold's own machine.
std::string diag_answer(std::span<const char> question) {
  nlmsghdr header{};
  inet_diag_req_v2 request{};
  std::memcpy(&header, question.data(), sizeof header);
  std::memcpy(&request, question.data() + NLMSG_HDRLEN, sizeof request);
  const EndAddress own = end_of(request.id.idiag_src[0], request.id.idiag_sport);
  const EndAddress other = end_of(request.id.idiag_dst[0], request.id.idiag_dport);
  const Socket* const found = own.host == proxy_host ? calls().world->find(own, other) : nullptr;
  const auto message = [&](const auto& body, std::uint16_t type, std::size_t behind) {
    nlmsghdr head{};
    head.nlmsg_len = static_cast<__u32>(NLMSG_HDRLEN + sizeof body + behind);
    head.nlmsg_type = type;
    head.nlmsg_seq = header.nlmsg_seq;
    std::string text(NLMSG_HDRLEN + sizeof body, '\0');
    std::memcpy(text.data(), &head, sizeof head);
    std::memcpy(text.data() + NLMSG_HDRLEN, &body, sizeof body);
    return text;
  };
  if (found == nullptr || found->state() == Socket::State::closed) {
    nlmsgerr error{};
    error.error = -ENOENT;
    return message(error, NLMSG_ERROR, 0);
  }
  constexpr std::array<std::uint8_t, 11> states{0, 2, 3, 1, 4, 5, 8, 11, 9, 6, 7};
  inet_diag_msg told{};
  told.idiag_family = AF_INET;
  told.idiag_state = states.at(static_cast<std::size_t>(found->state()));
  told.id = request.id;
  const bool is_over = found->state() == Socket::State::time_wait;
  told.idiag_inode = found->is_held() && !is_over ? 1 : 0;
  if (is_over) told.idiag_state = 5;  // told as FIN_WAIT2
  nlattr attribute{NLA_HDRLEN + 1, INET_DIAG_SHUTDOWN};
  std::string text = message(told, SOCK_DIAG_BY_FAMILY, NLA_HDRLEN + 4);
  text.append(reinterpret_cast<const char*>(&attribute), sizeof attribute);
  text += static_cast<char>(found->shut());
  text.append(3, '\0');
  return text;
}

// What splice(2) makes of a socket without bytes (tcp_splice_read()).
long splice_from_socket(Descriptor& from, Descriptor& into, std::size_t most) {
  std::string bytes(std::min(most, from.socket->unread()), '\0');
  if (bytes.empty()) {
    char byte = 0;
    int error = 0;
    const long count = from.socket->receive({&byte, 1}, true, error);
    return count < 0 ? failed(error) : 0;
  }
  int error = 0;
  static_cast<void>(from.socket->receive(bytes, false, error));
  into.pipe->bytes += bytes;
  return static_cast<long>(bytes.size());
}

long splice_into_socket(Descriptor& from, Descriptor& into, std::size_t most) {
  int error = 0;
  std::string& bytes = from.pipe->bytes;
  const long count = into.socket->send(std::span(bytes).first(std::min(most, bytes.size())), error);
  if (count < 0) return failed(error);
  bytes.erase(0, static_cast<std::size_t>(count));
  return count;
}

}  // namespace

void enter(World* world) {
  Calls& all = calls();
  all.open.clear();
  all.next = first_descriptor;
  all.waits = 0;
  all.world = world;
}

int listening_descriptor() { return make(Descriptor::Kind::listening).number; }

void arrive(int listening, Socket& socket) {
  Descriptor* const descriptor = find(listening);
  if (descriptor == nullptr) return;
  descriptor->arrived.push_back(&socket);
  tell(*descriptor);
}

std::size_t open_descriptors() { return calls().open.size(); }

std::uint64_t waits() { return calls().waits; }

}  // namespace finhold::simulation

// NOLINTBEGIN(readability-identifier-naming): libc's names.
using finhold::simulation::calls;
using finhold::simulation::failed;
using finhold::simulation::find;
using finhold::simulation::is_to_fail;
using finhold::simulation::make;
using Kind = finhold::simulation::Descriptor::Kind;

extern "C" {

int clock_gettime(clockid_t clock, timespec* time) noexcept {
  if (calls().world == nullptr) return static_cast<int>(syscall(SYS_clock_gettime, clock, time));
  const auto now = finhold::simulation::begin + calls().world->now();
  time->tv_sec = static_cast<time_t>(now / finhold::simulation::s);
  time->tv_nsec = static_cast<long>(now % finhold::simulation::s) * 1000;
  return 0;
}

int socket(int domain, int type, int protocol) noexcept {
  if (calls().world == nullptr)
    return static_cast<int>(syscall(SYS_socket, domain, type, protocol));
  if (is_to_fail({EMFILE, ENFILE, ENOBUFS, ENOMEM})) return -1;
  return make(domain == AF_NETLINK ? Kind::diag : Kind::unconnected).number;
}

int connect(int fd, const sockaddr* address, socklen_t length) {
  auto* const descriptor = find(fd);
  if (descriptor == nullptr) return static_cast<int>(syscall(SYS_connect, fd, address, length));
  if (is_to_fail({EADDRNOTAVAIL, ENETUNREACH, EPERM, EAGAIN, ECONNREFUSED})) return -1;
  sockaddr_in to{};
  std::memcpy(&to, address, sizeof to);
  auto& world = *calls().world;
  auto& connection =
      world.connection(finhold::simulation::proxy_host, ntohl(to.sin_addr.s_addr) & 0xffU);
  descriptor->kind = Kind::socket;
  descriptor->socket = &connection.socket(0);
  descriptor->socket->hold(*descriptor);
  take_options(*descriptor);
  descriptor->socket->connect();
  return static_cast<int>(failed(EINPROGRESS));
}

int accept4(int fd, sockaddr* address, socklen_t* length, int flags) {
  auto* const listening = find(fd);
  if (listening == nullptr) {
    return static_cast<int>(syscall(SYS_accept4, fd, address, length, flags));
  }
  if (listening->arrived.empty()) return static_cast<int>(failed(EAGAIN));
  if (is_to_fail({EMFILE, ENFILE, ENOBUFS, ENOMEM, EINTR})) return -1;
  auto& socket = *listening->arrived.front();
  listening->arrived.pop_front();
  auto& made = make(Kind::socket);
  made.socket = &socket;
  made.linger_reset = listening->linger_reset;
  made.keepalive = listening->keepalive;
  made.keepalive_idle = listening->keepalive_idle;
  made.keepalive_interval = listening->keepalive_interval;
  made.keepalive_probes = listening->keepalive_probes;
  take_options(made);
  socket.hold(made);
  finhold::simulation::tell_address(socket.connection().address(1 - socket.end()), address, length);
  return made.number;
}

int close(int fd) {
  auto* const descriptor = find(fd);
  if (descriptor == nullptr) return static_cast<int>(syscall(SYS_close, fd));
  if (descriptor->socket != nullptr) descriptor->socket->close();
  calls().open.erase(fd);
  return 0;
}

int shutdown(int fd, int how) noexcept {
  auto* const descriptor = find(fd);
  if (descriptor == nullptr) return static_cast<int>(syscall(SYS_shutdown, fd, how));
  const int error = descriptor->socket->shutdown_write();
  return error == 0 ? 0 : static_cast<int>(failed(error));
}

ssize_t recv(int fd, void* into, size_t most, int flags) {
  auto* const descriptor = find(fd);
  if (descriptor == nullptr) return syscall(SYS_recvfrom, fd, into, most, flags, nullptr, nullptr);
  int error = 0;
  if (is_to_fail({EINTR, ENOMEM})) return -1;
  const long count =
      descriptor->socket->receive({static_cast<char*>(into), most}, (flags & MSG_PEEK) != 0, error);
  return count < 0 ? failed(error) : count;
}

ssize_t recvfrom(int fd, void* into, size_t most, int flags, sockaddr* from, socklen_t* length) {
  auto* const descriptor = find(fd);
  if (descriptor == nullptr) return syscall(SYS_recvfrom, fd, into, most, flags, from, length);
  if (descriptor->answer.empty()) return failed(EAGAIN);
  std::memset(from, 0, *length);
  const std::string answer = std::exchange(descriptor->answer, {});
  std::memcpy(into, answer.data(), std::min(most, answer.size()));
  return static_cast<ssize_t>(answer.size());
}

ssize_t send(int fd, const void* bytes, size_t count, int flags) {
  auto* const descriptor = find(fd);
  if (descriptor == nullptr) return syscall(SYS_sendto, fd, bytes, count, flags, nullptr, 0);
  const std::span all(static_cast<const char*>(bytes), count);
  if (descriptor->kind == Kind::diag) {
    descriptor->answer = finhold::simulation::diag_answer(all);
    return static_cast<ssize_t>(count);
  }
  int error = 0;
  if (is_to_fail({EINTR, ENOMEM, ENOBUFS})) return -1;
  const long taken = descriptor->socket->send(all, error);
  return taken < 0 ? failed(error) : taken;
}

ssize_t splice(int from, off64_t* from_offset, int into, off64_t* into_offset, size_t most,
               unsigned flags) {
  auto* const source = find(from);
  auto* const sink = find(into);
  if (source == nullptr || sink == nullptr) {
    return syscall(SYS_splice, from, from_offset, into, into_offset, most, flags);
  }
  if (is_to_fail({EINTR, ENOMEM})) return -1;
  return source->kind == Kind::socket
             ? finhold::simulation::splice_from_socket(*source, *sink, most)
             : finhold::simulation::splice_into_socket(*source, *sink, most);
}

int pipe2(int ends[2], int flags) noexcept {  // NOLINT(modernize-avoid-c-arrays)
  if (calls().world == nullptr) return static_cast<int>(syscall(SYS_pipe2, ends, flags));
  if (is_to_fail({EMFILE, ENFILE, ENOMEM})) return -1;
  auto& read_end = make(Kind::pipe_read);
  auto& write_end = make(Kind::pipe_write);
  read_end.pipe = write_end.pipe = std::make_shared<finhold::simulation::Pipe>();
  ends[0] = read_end.number;
  ends[1] = write_end.number;
  return 0;
}

int fcntl(int fd, int command, ...) {
  va_list arguments;
  va_start(arguments, command);
  const long argument = va_arg(arguments, long);
  va_end(arguments);
  if (find(fd) == nullptr) return static_cast<int>(syscall(SYS_fcntl, fd, command, argument));
  if (is_to_fail({EPERM, EBUSY, ENOMEM})) return -1;
  return command == F_SETPIPE_SZ ? static_cast<int>(argument) : 0;
}

int epoll_create1(int flags) noexcept {
  if (calls().world == nullptr) return static_cast<int>(syscall(SYS_epoll_create1, flags));
  auto& descriptor = make(Kind::epoll);
  descriptor.epoll = std::make_unique<finhold::simulation::Epoll>();
  return descriptor.number;
}

int epoll_ctl(int epoll, int operation, int fd, epoll_event* event) noexcept {
  auto* const watching = find(epoll);
  if (watching == nullptr) {
    return static_cast<int>(syscall(SYS_epoll_ctl, epoll, operation, fd, event));
  }
  auto* const descriptor = find(fd);
  if (descriptor == nullptr) return 0;  // libuv's own, of which nothing is awaited
  if (operation != EPOLL_CTL_DEL && is_to_fail({ENOMEM, ENOSPC})) return -1;
  auto& watch = descriptor->watch;
  if (operation == EPOLL_CTL_ADD && watch.epoll != nullptr) {
    return static_cast<int>(failed(EEXIST));
  }
  if (operation == EPOLL_CTL_DEL) {
    watch = {};
    return 0;
  }
  watch.epoll = watching->epoll.get();
  watch.wanted = *event;
  finhold::simulation::tell(*descriptor);
  return 0;
}

int epoll_wait(int epoll, epoll_event* into, int most, int timeout) {
  auto* const descriptor = find(epoll);
  if (descriptor == nullptr) {
    return static_cast<int>(syscall(SYS_epoll_pwait, epoll, into, most, timeout, nullptr, 8));
  }
  using finhold::simulation::collect;
  using finhold::simulation::Time;
  auto& waiting = *descriptor->epoll;
  auto& world = *calls().world;
  auto& agenda = world.agenda();
  ++calls().waits;
  const std::span room(into, static_cast<std::size_t>(most));
  const bool for_ever = timeout < 0;
  const Time until =
      agenda.now() + static_cast<Time>(for_ever ? 0 : timeout) * finhold::simulation::ms;
  // Nobody is as fast as the events: at each moment all of it happens, and sometimes more.
  const auto let_happen = [&](Time to) {
    while (!agenda.empty() && agenda.next() <= to) agenda.run_next();
    agenda.pass_to(to);
  };
  if (world.pace.lag != 0 && world.pace.lags > 0 && world.random().one_in(4)) {
    --world.pace.lags;
    let_happen(agenda.now() + world.random().below(world.pace.lag));
  } else {
    let_happen(agenda.now());
  }
  while (true) {
    if (const int count = collect(waiting, room); count > 0) return count;
    const bool nothing_comes = agenda.empty() || (!for_ever && agenda.next() > until);
    if (agenda.is_late() || nothing_comes) {
      // A caller that waits for ever for nothing is to be found by that.
      if (!agenda.is_late()) agenda.pass_to(for_ever ? agenda.last_moment() : until);
      return 0;
    }
    let_happen(agenda.next());
  }
}

int poll(pollfd* entries, unsigned long count, int timeout) {
  auto* const descriptor = count == 1 ? find(entries->fd) : nullptr;
  if (descriptor == nullptr) return static_cast<int>(syscall(SYS_poll, entries, count, timeout));
  const std::uint32_t ready = finhold::simulation::ready_now(*descriptor);
  const auto wanted = static_cast<std::uint32_t>(entries->events) | EPOLLERR | EPOLLHUP;
  entries->revents = static_cast<short>(ready & wanted);
  return entries->revents != 0 ? 1 : 0;
}

int ioctl(int fd, unsigned long request, ...) noexcept {
  va_list arguments;
  va_start(arguments, request);
  void* const argument = va_arg(arguments, void*);
  va_end(arguments);
  auto* const descriptor = find(fd);
  if (descriptor == nullptr) return static_cast<int>(syscall(SYS_ioctl, fd, request, argument));
  const auto& socket = *descriptor->socket;
  const std::size_t bytes = request == SIOCOUTQ      ? socket.unacknowledged()
                            : request == SIOCOUTQNSD ? socket.unsent()
                                                     : socket.unread();
  *static_cast<int*>(argument) = static_cast<int>(bytes);
  return 0;
}

int sockatmark(int /*fd*/) noexcept { return 0; }

int setsockopt(int fd, int level, int name, const void* value, socklen_t length) noexcept {
  auto* const descriptor = find(fd);
  if (descriptor == nullptr) {
    return static_cast<int>(syscall(SYS_setsockopt, fd, level, name, value, length));
  }
  if (is_to_fail({ENOMEM, ENOBUFS})) return -1;
  int number = 0;
  std::memcpy(&number, value, sizeof number);
  if (level == SOL_SOCKET && name == SO_LINGER) descriptor->linger_reset = number != 0;
  if (level == SOL_SOCKET && name == SO_KEEPALIVE) descriptor->keepalive = number != 0;
  if (level == IPPROTO_TCP && name == TCP_KEEPIDLE) descriptor->keepalive_idle = number;
  if (level == IPPROTO_TCP && name == TCP_KEEPINTVL) descriptor->keepalive_interval = number;
  if (level == IPPROTO_TCP && name == TCP_KEEPCNT) descriptor->keepalive_probes = number;
  if (descriptor->socket == nullptr) return 0;
  auto& socket = *descriptor->socket;
  socket.set_linger_reset(descriptor->linger_reset);
  if (level != IPPROTO_TCP) return 0;
  if (name == TCP_KEEPIDLE)
    socket.set_keepalive_idle(static_cast<finhold::simulation::Time>(number) *
                              finhold::simulation::s);
  if (name == TCP_KEEPINTVL)
    socket.set_keepalive_interval(static_cast<finhold::simulation::Time>(number) *
                                  finhold::simulation::s);
  if (name == TCP_KEEPCNT) socket.set_keepalive_probes(number);
  constexpr int rto_max_ms = 44;  // see net/socket.cc
  if (name == rto_max_ms)
    socket.set_longest_repeat(static_cast<finhold::simulation::Time>(number) *
                              finhold::simulation::ms);
  return 0;
}

int getsockopt(int fd, int level, int name, void* value, socklen_t* length) noexcept {
  auto* const descriptor = find(fd);
  if (descriptor == nullptr) {
    return static_cast<int>(syscall(SYS_getsockopt, fd, level, name, value, length));
  }
  auto& socket = *descriptor->socket;
  if (level == SOL_SOCKET && name == SO_ERROR) {
    const int error = socket.take_error();
    std::memcpy(value, &error, sizeof error);
    return 0;
  }
  if (level != IPPROTO_TCP || name != TCP_INFO) return static_cast<int>(failed(ENOPROTOOPT));
  tcp_info info{};
  const auto quiet = (calls().world->now() - socket.heard_at()) / finhold::simulation::ms;
  info.tcpi_unacked = socket.is_in_flight() ? 1 : 0;
  info.tcpi_notsent_bytes = static_cast<__u32>(socket.unsent());
  info.tcpi_retransmits = static_cast<__u8>(socket.retransmits());
  info.tcpi_probes = static_cast<__u8>(socket.probes());
  info.tcpi_last_ack_recv = info.tcpi_last_data_recv = static_cast<__u32>(quiet);
  std::memcpy(value, &info, std::min<std::size_t>(*length, sizeof info));
  return 0;
}

int getsockname(int fd, sockaddr* address, socklen_t* length) noexcept {
  auto* const descriptor = find(fd);
  if (descriptor == nullptr) {
    return static_cast<int>(syscall(SYS_getsockname, fd, address, length));
  }
  const auto& socket = *descriptor->socket;
  return finhold::simulation::tell_address(socket.connection().address(socket.end()), address,
                                           length);
}

int getpeername(int fd, sockaddr* address, socklen_t* length) noexcept {
  auto* const descriptor = find(fd);
  if (descriptor == nullptr) {
    return static_cast<int>(syscall(SYS_getpeername, fd, address, length));
  }
  const auto& socket = *descriptor->socket;
  if (!socket.is_connected()) return static_cast<int>(failed(ENOTCONN));
  return finhold::simulation::tell_address(socket.connection().address(1 - socket.end()), address,
                                           length);
}
}
// NOLINTEND(readability-identifier-naming)
