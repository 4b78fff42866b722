#include "unit/tunnel/tunnel_world.h"

#include <array>
#include <cerrno>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include <doctest/doctest.h>

#include "net/socket.h"

namespace tunnel_world {

using What = relay::Leg::Read::What;

Listening::Listening() {
  auto listening = net::listen_tcp(base::Address::parse("127.0.0.1:0").value(), true, {});
  REQUIRE(listening.ok());
  socket = std::move(listening.value());
  address = net::local_address(socket.get()).value();
}

net::Descriptor Listening::accept() const {
  return net::Descriptor(accept4(socket.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
}

std::string receive(int fd) {
  std::string text;
  std::array<char, 4096> room{};
  for (;;) {
    const ssize_t count = recv(fd, room.data(), room.size(), 0);
    if (count > 0) {
      text.append(room.data(), static_cast<std::size_t>(count));
    } else if (count == 0) {
      return text + '.';
    } else {
      return errno == ECONNRESET ? text + '!' : text;
    }
  }
}

Client::Client(std::unique_ptr<relay::Leg> of) : leg(std::move(of)) {
  leg->attach(*this, base::Side::server);
}

void Client::on_leg_ready(base::Side /*side*/) {
  std::array<std::byte, 4096> room{};
  while (leg->readable()) {
    const auto read = leg->read(room);
    got.append(reinterpret_cast<const char*>(room.data()), read.count);
    if (read.what == What::end) got += '.';
    if (read.what == What::failed) got += '!';
  }
}

void Client::write(std::string_view text) const {
  CHECK(leg->write(std::as_bytes(std::span(text)), false) == text.size());
}

World::World() {
  far_settings.route.name = "far";
  far_settings.route.fin.crosses = core::Crosses::none;
  far_settings.route.listen = base::Address::parse("127.0.0.1:0").value();
  near_settings.name = "dc";
  near_route_.name = "near";
  near_route_.fin.crosses = core::Crosses::none;
  near_connections.begin();
  far_connections.begin();
}

void World::until(const std::function<bool()>& is_so) { REQUIRE(awaiting_.until(is_so)); }

void World::start_far() {
  auto listening = net::listen_tcp(far_settings.route.listen, true, {});
  REQUIRE(listening.ok());
  const base::Address address = net::local_address(listening.value().get()).value();
  far_settings.route.listen = address;
  near_settings.far = {"127.0.0.1", address.port()};
  if (far != nullptr) former_fars_.push_back(std::move(far));
  far = std::make_unique<tunnel::Far>(far_settings, far_tls, std::move(listening.value()),
                                      far_connections, sessions, quota, loop, poller, timers);
  REQUIRE(far->start().code == 0);
}

void World::start_near() {
  near.emplace(near_settings, nullptr, near_connections, loop, poller, timers, resolver);
  near->start();
}

std::unique_ptr<Client> World::client(const std::string& authority) {
  const auto from = base::Address::parse("192.0.2.7:4711").value();
  return std::make_unique<Client>(near->leg(authority, from, connect_timeout));
}

net::Descriptor World::connected(const base::Address& server) {
  const Listening near_listening;
  net::Descriptor program(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const base::Address& to = near_listening.address;
  REQUIRE(connect(program.get(), to.raw(), to.length()) == 0);
  // The kernel may still owe the listener the last segment of the handshake, on a busy machine.
  pollfd awaited{near_listening.socket.get(), POLLIN, 0};
  REQUIRE(poll(&awaited, 1, 10'000) == 1);
  REQUIRE(fcntl(program.get(), F_SETFL, O_NONBLOCK) == 0);
  near_route_.server = base::HostPort::parse(server.text()).value();
  sessions.open(near_route_, near_listening.accept(), net::local_address(program.get()).value());
  return program;
}

std::unique_ptr<relay::Leg> World::leg_to_server(const relay::Session& session) {
  if (&session.route() != &near_route_) return nullptr;
  return near->leg(near_route_.server.text(), session.client(), connect_timeout);
}

net::Descriptor World::accepted(const Listening& server) {
  net::Descriptor next;
  until([&] {
    next = server.accept();
    return next.valid();
  });
  return next;
}

}  // namespace tunnel_world
