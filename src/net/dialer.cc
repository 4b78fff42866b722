#include "net/dialer.h"

#include <algorithm>
#include <cerrno>
#include <string_view>
#include <sys/socket.h>

#include "base/check.h"
#include "net/dial_source.h"

namespace finhold::net {
namespace {

constexpr Instant retry_after_ms = 100;

bool is_starvation(int code) {
  return code == EMFILE || code == ENFILE || code == ENOBUFS || code == ENOMEM;
}

}  // namespace

base::Result<Descriptor> dialing_socket(int family, const DialOptions& options) {
  auto socket = dialing_socket(family, options.keepalive);
  if (!socket.ok()) return socket;
  const int fd = socket.value().get();
  base::Error error;
  if (options.mark != 0) error = set_mark(fd, options.mark);
  if (options.source && error.code == 0) {
    if (options.source->family() != family) error = {EAFNOSUPPORT, "bind"};
    if (options.transparent && error.code == 0) error = set_transparent(fd, family);
    if (error.code == 0) error = bind_source(fd, *options.source);
  }
  if (error.code != 0) return error;
  return socket;
}

Dialer::Dialer(Loop& loop, Poller& poller, Timers& timers, Resolver& resolver, Owner& owner,
               const DialOptions& options)
    : Timer(timers),
      loop_(loop),
      poller_(poller),
      resolver_(resolver),
      owner_(owner),
      options_(options) {}

Dialer::~Dialer() {
  poller_.forget(*this);
  if (resolving_) resolver_.forget(*this);
}

void Dialer::start(const std::vector<base::Address>& servers) {
  FINHOLD_CHECK(!servers.empty());
  give_up_at_ = loop_.now() + options_.timeout_ms;
  for (const base::Address& server : servers) addresses_.push_back(server.unmapped());
  try_next();
}

void Dialer::start(const base::HostPort& server) {
  give_up_at_ = loop_.now() + options_.timeout_ms;

  if (const auto numeric = base::Address::parse(server.text()); numeric.ok()) {
    addresses_.push_back(numeric.value());
    return try_next();
  }
  // An IPv6 address whose interface has gone since, or has not come yet.
  if (server.host.find(':') != std::string::npos) return failed({ENODEV, "connect"});

  arm(give_up_at_);
  const int failure = resolver_.resolve(server, *this);
  resolving_ = failure == 0;
  if (failure != 0) failed({failure, "getaddrinfo"});
}

void Dialer::on_resolved(const std::vector<base::Address>& addresses, int error) {
  resolving_ = false;
  addresses_ = addresses;
  if (!addresses_.empty()) return try_next();
  disarm();
  owner_.on_dial_failed({error, "getaddrinfo"}, true);
}

void Dialer::try_next() {
  while (next_ < addresses_.size()) {
    if (loop_.now() >= give_up_at_) return failed({ETIMEDOUT, "connect"});
    if (try_address(addresses_[next_++])) return;
  }
  failed(last_error_);
}

// False: it failed at once, as last_error_ says.
bool Dialer::try_address(const base::Address& address) {
  auto socket = dialing_socket(address.family(), options_);
  if (!socket.ok()) {
    last_error_ = socket.error();
  } else {
    fd_ = std::move(socket.value());
    int code = connect(fd_.get(), address.raw(), address.length()) == 0 ? 0 : errno;
    // Over loopback the handshake is over when connect() returns, though it says EINPROGRESS. To
    // ask is cheaper than a turn through the poller, and costs nothing beside a real round trip.
    if (code == EINPROGRESS && is_connected(fd_.get())) code = 0;
    if (code == 0 && !connected_to_itself(address)) {
      disarm();
      owner_.on_dialed(std::move(fd_), address, false);
      return true;
    }
    last_error_ = {code == 0 ? ECONNREFUSED : code, "connect"};
    if (code == EINPROGRESS) {
      // Writable once the handshake has succeeded or failed.
      last_error_ = poller_.add(fd_.get(), Poller::every_edge, *this);
      if (last_error_.code == 0) {
        const Instant left = give_up_at_ - loop_.now();
        const std::size_t tries = addresses_.size() - next_ + 1;
        arm(loop_.now() + std::max<Instant>(left / tries, 1));
        return true;
      }
    }
  }
  fd_.close();
  if (!will_pass(address)) return false;
  --next_;
  starved_ = true;
  arm(std::min(loop_.now() + retry_after_ms, give_up_at_));
  return true;
}

// Whether the same address is worth another try soon.
bool Dialer::will_pass(const base::Address& address) {
  if (is_starvation(last_error_.code)) return true;
  // bind() says so of an address that this machine does not have.
  const bool connecting = std::string_view(last_error_.operation) == "connect";
  if (last_error_.code != EADDRNOTAVAIL || !connecting) return false;
  // All ports are in use towards that address; or the one that was given is, by an earlier
  // connection of the same client, whose last bytes or FIN the server has not acknowledged yet.
  // EADDRINUSE from bind() is a socket that is not finhold's, and does not pass: a client of this
  // very machine, or whatever listens on the client's port at every address (the kernel compares
  // with a listener's wildcard; SO_REUSEADDR does not help). (2026-11-22;
  // tests/integration/interception/test_diverted.py.)
  if (options_.source || has_source_address(address)) return true;
  last_error_.code = ENETUNREACH;
  return false;
}

// Dialing a local port that nobody listens on can, with bad luck in the choice of our own port,
// meet itself: TCP's simultaneous open (RFC 9293 section 3.5). That is no server.
bool Dialer::connected_to_itself(const base::Address& address) const {
  const auto own = local_address(fd_.get());
  return own.ok() && own.value() == address;
}

void Dialer::on_ready(std::uint32_t events) {
  if ((events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) == 0) return;
  const base::Address& address = addresses_[next_ - 1];
  // Connected, and reset since: the new owner reads what came, the end too, and meets the error
  // itself. Without bytes or an end before it recv() takes the error.
  int code = 0;
  if ((events & EPOLLERR) != 0) {
    char byte = 0;
    if (recv(fd_.get(), &byte, 1, MSG_PEEK) >= 0) {
      disarm();
      return owner_.on_dialed(std::move(fd_), address, true);
    }
    code = errno == EAGAIN ? take_socket_error(fd_.get()) : errno;
  } else {
    code = take_socket_error(fd_.get());
  }
  if (code == 0 && !connected_to_itself(address)) {
    disarm();
    return owner_.on_dialed(std::move(fd_), address, true);
  }
  last_error_ = {code == 0 ? ECONNREFUSED : code, "connect"};
  fd_.close();
  try_next();
}

// The time of this address, or of the whole dial, has passed; or a starved dial tries again.
void Dialer::on_time() {
  if (!starved_) last_error_ = {ETIMEDOUT, resolving_ ? "getaddrinfo" : "connect"};
  const bool retry = std::exchange(starved_, false) && loop_.now() < give_up_at_;
  poller_.forget(*this);
  fd_.close();
  if (resolving_) return failed(last_error_);
  if (!retry && loop_.now() >= give_up_at_) return failed(last_error_);
  try_next();
}

void Dialer::failed(base::Error error) {
  disarm();
  owner_.on_dial_failed(error, false);
}

}  // namespace finhold::net
