#include "unit/tunnel/connection_pair.h"

#include <algorithm>
#include <fcntl.h>
#include <poll.h>
#include <span>
#include <sys/socket.h>

#include <doctest/doctest.h>

#include "net/socket.h"

namespace connection_pair {

namespace {

void set_size(int fd, int name, int bytes) {
  REQUIRE(setsockopt(fd, SOL_SOCKET, name, &bytes, sizeof bytes) == 0);
}

}  // namespace

void End::go() {
  if (stream == nullptr) return;
  while (reads && !stream->readable().empty()) {
    const auto bytes = stream->readable();
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    received += text;
    if (echoes) sends += text;
    stream->consumed(bytes.size());
  }
  if (reads && stream->ended()) {
    ended = true;
    finishes = finishes || echoes;
  }
  if (!finished_ && sent < sends.size()) {
    sent += stream->write(std::as_bytes(std::span(sends)).subspan(sent));
  }
  if (!finished_ && finishes && sent == sends.size()) {
    finished_ = true;
    stream->finish();
  }
  connection->touch();
}

void End::forget() {
  if (stream == nullptr) return;
  stream->forget();
  stream = nullptr;
  connection->touch();
}

Side::Side(net::Loop& loop, net::Poller& poller, net::Timers& timers, std::size_t window) {
  table.emplace(loop, poller, timers, window, *this);
  table->begin();
}

End& Side::open(const std::string& authority) {
  ends.push_back(std::make_unique<End>(*connection));
  End& end = *ends.back();
  end.stream = connection->open({authority, {}, {}}, end);
  REQUIRE(end.stream != nullptr);
  return end;
}

std::size_t Side::ended() const {
  const auto has = [](const auto& end) { return end->ended; };
  return static_cast<std::size_t>(std::count_if(ends.begin(), ends.end(), has));
}

std::size_t Side::reset() const {
  const auto was = [](const auto& end) { return end->reset.has_value(); };
  return static_cast<std::size_t>(std::count_if(ends.begin(), ends.end(), was));
}

void Side::forget_all() {
  for (const auto& end : ends) end->forget();
}

void Side::on_ready(Connection& of) {
  CHECK(of.ready());
  if (knows) of.prove();
  say("ready");
}

void Side::on_connect(Connection& of, Stream& stream, const ConnectRequest& request) {
  say("connect " + std::string(request.authority));
  ends.push_back(std::make_unique<End>(of));
  End& end = *ends.back();
  end.stream = &stream;
  stream.set_events(end);
  stream.respond(200);
  greets(end);
  end.go();
}

void Side::on_room(Connection& of) {
  CHECK((of.can_open() || of.streams() == 0));
  ++rooms;
}

void Side::on_goaway(Connection& of) {
  CHECK_FALSE(of.can_open());
  say("goaway");
}

void Side::on_closed(Connection& of, const std::string& why) {
  CHECK_FALSE(of.can_open());
  ++closed;
  say(why.empty() ? "closed" : "closed: " + why);
}

Sockets connected(bool small_buffers, const std::string& host) {
  const auto loopback = finhold::base::Address::parse(host + ":0");
  auto listening = net::listen_tcp(loopback.value(), true, {});
  REQUIRE(listening.ok());
  if (small_buffers) set_size(listening.value().get(), SO_RCVBUF, 4096);
  const auto address = net::local_address(listening.value().get()).value();
  auto dialing = net::dialing_socket(address.family(), net::KeepaliveOptions{});
  REQUIRE(dialing.ok());
  Sockets sockets;
  sockets.one = std::move(dialing.value());
  if (small_buffers) set_size(sockets.one.get(), SO_RCVBUF, 4096);
  static_cast<void>(connect(sockets.one.get(), address.raw(), address.length()));
  pollfd awaited{listening.value().get(), POLLIN, 0};
  REQUIRE(poll(&awaited, 1, 10'000) == 1);
  sockets.other =
      net::Descriptor(accept4(awaited.fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  REQUIRE(sockets.other.valid());
  if (small_buffers) {
    set_size(sockets.one.get(), SO_SNDBUF, 4096);
    set_size(sockets.other.get(), SO_SNDBUF, 4096);
  }
  return sockets;
}

World::World(std::size_t window)
    : near(loop, poller, timers, window), far(loop, poller, timers, window) {}

void World::until(const std::function<bool()>& is_so) {
  REQUIRE_MESSAGE(awaiting_.until(is_so), "near: " << near.told << "; far: " << far.told);
}

void World::pause(net::Instant milliseconds) { awaiting_.pause(milliseconds); }

void World::start(Side& side, Endpoint::Role role, const Context* tls, net::Descriptor socket) {
  ConnectionOptions with = options;
  with.role = role;
  with.tls = tls;
  const auto other_end = net::remote_address(socket.get());
  REQUIRE(other_end);
  side.socket = socket.get();
  // A near end's socket comes from a Dialer, which had it registered.
  const bool registered = role == Endpoint::Role::near;
  if (registered) {
    REQUIRE(poller.add(socket.get(), net::Poller::every_edge, dialer_).code == 0);
    poller.forget(dialer_);
  }
  side.connection = &side.table->start(std::move(socket), registered, *other_end, with, side);
}

void World::join(const Context* near_tls, const Context* far_tls, bool small_buffers) {
  Sockets sockets = connected(small_buffers);
  start(near, Endpoint::Role::near, near_tls, std::move(sockets.one));
  start(far, Endpoint::Role::far, far_tls, std::move(sockets.other));
  until([this] {
    const bool ready = near.connection->ready() && far.connection->ready();
    return ready || near.closed + far.closed > 0;
  });
}

net::Descriptor World::join(Side& side, const Context* tls, bool small_buffers,
                            const std::string& host) {
  Sockets sockets = connected(small_buffers, host);
  const auto role = &side == &near ? Endpoint::Role::near : Endpoint::Role::far;
  start(side, role, tls, std::move(sockets.one));
  REQUIRE(fcntl(sockets.other.get(), F_SETFL, 0) == 0);
  return std::move(sockets.other);
}

}  // namespace connection_pair
