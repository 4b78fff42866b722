// Many TLS handshakes at once: how much of them a turn of the worker does, in which order, and what
// becomes of those that end while they wait.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "tls/endpoint.h"
#include "tunnel/handshake_queue.h"
#include "unit/http2/endpoint_pair.h"
#include "unit/tls/certificates.h"
#include "unit/tunnel/connection_pair.h"
#include "unit/tunnel/tunnel_world.h"

using namespace connection_pair;
using finhold::test::Authority;
using finhold::test::CertificateFiles;
using finhold::tls::ClientSettings;
using finhold::tls::ServerSettings;
using finhold::tls::State;
using finhold::tunnel::HandshakeQueue;
using finhold::tunnel::ReadyTime;

namespace {

Authority& authority() {
  static Authority made("Test CA");
  return made;
}

const CertificateFiles& certificate() {
  static const CertificateFiles made = authority().issue();
  return made;
}

template <typename Settings>
Context load(const Settings& settings) {
  auto loaded = Context::load(settings);
  REQUIRE_MESSAGE(loaded.ok(), loaded.error().front().text);
  return std::move(loaded.value());
}

const Context& near_tls() {
  static const Context made = load(ClientSettings{authority().certificate(), {}, {}, "far.test"});
  return made;
}

const Context& far_tls() {
  static const Context made =
      load(ServerSettings{certificate().certificate, certificate().key, {}});
  return made;
}

// A clock by which each handshake takes as long as a turn has, or a part of it.
template <std::uint64_t parts>
std::uint64_t one_of() {
  static std::uint64_t now = 0;
  return now += HandshakeQueue::time_in_turn / parts;
}

// Whether something can be read there.
bool waits(const net::Descriptor& socket) {
  int bytes = 0;
  REQUIRE(ioctl(socket.get(), FIONREAD, &bytes) == 0);
  return bytes > 0;
}

void say_hello(const net::Descriptor& to) {
  std::array<std::byte, 4096> hello{};
  finhold::tls::Endpoint client(near_tls());
  const auto size = client.write({}, hello).made;
  REQUIRE(send(to.get(), hello.data(), size, MSG_NOSIGNAL) == static_cast<ssize_t>(size));
}

// Strangers at a far end, each with a hello.
struct Crowd {
  World& world;
  std::vector<Connection*> connections;
  std::vector<net::Descriptor> sockets;

  explicit Crowd(World& at) : world(at) {}

  void come(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      sockets.push_back(world.join(world.far, &far_tls()));
      connections.push_back(world.far.connection);
      say_hello(sockets.back());
    }
  }

  [[nodiscard]] bool answered(std::size_t which) const { return waits(sockets[which]); }
  [[nodiscard]] std::size_t answered() const {
    std::size_t count = 0;
    for (std::size_t i = 0; i < sockets.size(); ++i) count += answered(i) ? 1 : 0;
    return count;
  }
};

}  // namespace

TEST_CASE("handshakes: a turn makes those that it has time for, first come first served") {
  World world;
  world.far.table->measure_handshakes_with(&one_of<4>);
  Crowd crowd(world);
  crowd.come(20);
  std::vector<std::size_t> in_turn;
  std::size_t before = 0;
  world.until([&] {
    const std::size_t now = crowd.answered();
    for (std::size_t i = 0; i < now; ++i) CHECK(crowd.answered(i));
    if (now > before) in_turn.push_back(now - before);
    before = now;
    return now == 20;
  });
  CHECK(in_turn == std::vector<std::size_t>{4, 4, 4, 4, 4});
}

TEST_CASE(
    "handshakes: one that takes longer than a turn has is made, and others in further turns") {
  World world;
  world.far.table->measure_handshakes_with(&one_of<1>);
  Crowd crowd(world);
  crowd.come(5);
  std::size_t turns = 0;
  world.until([&] {
    if (crowd.answered() > 0) ++turns;
    return crowd.answered() == 5;
  });
  CHECK(turns == 5);
}

TEST_CASE("handshakes: near ends have theirs in the same turns") {
  World world;
  world.near.table->measure_handshakes_with(&one_of<1>);
  constexpr std::size_t count = 5;
  // A far end's answers to all of them, at once.
  std::vector<net::Descriptor> others;
  for (std::size_t i = 0; i < count; ++i) others.push_back(world.join(world.near, &near_tls()));
  std::vector<std::unique_ptr<finhold::tls::Endpoint>> servers;
  world.until([&] { return std::all_of(others.begin(), others.end(), waits); });
  std::vector<std::byte> wire(20'000);
  std::vector<std::byte> plain(20'000);
  for (const auto& other : others) {
    servers.push_back(std::make_unique<finhold::tls::Endpoint>(far_tls()));
    const ssize_t heard = recv(other.get(), wire.data(), wire.size(), 0);
    servers.back()->read(std::span(wire).first(static_cast<std::size_t>(heard)), plain);
    const std::size_t made = servers.back()->write({}, wire).made;
    REQUIRE(send(other.get(), wire.data(), made, MSG_NOSIGNAL) == static_cast<ssize_t>(made));
  }
  std::size_t turns = 0;
  world.until([&] {
    const auto finished = std::count_if(others.begin(), others.end(), waits);
    if (finished > 0) ++turns;
    return finished == count;
  });
  CHECK(turns == count);
}

TEST_CASE("handshakes: a session has its share while many wait") {
  World world;
  world.join(&near_tls(), &far_tls());
  world.far.table->measure_handshakes_with(&one_of<1>);
  world.far.greets = [](End& end) { end.echoes = true; };
  End& end = world.near.open();
  world.until([&] { return end.answer == 200; });
  Crowd crowd(world);
  crowd.come(60);
  end.sends = "question";
  end.go();
  world.until([&] { return end.received == "question"; });
  CHECK(crowd.answered() < 20);
  world.until([&] { return crowd.answered() == 60; });
  world.near.forget_all();
  world.far.forget_all();
}

TEST_CASE("handshakes: what strangers say over HTTP/2 shares the same time") {
  World world;
  world.far.knows = false;
  world.far.table->measure_handshakes_with(&one_of<1>);
  std::vector<net::Descriptor> strangers;
  constexpr std::size_t count = 20;
  for (std::size_t i = 0; i < count; ++i) strangers.push_back(world.join(world.far));
  const auto answered = [&] { return std::count_if(strangers.begin(), strangers.end(), waits); };
  // Their preface is answered by SETTINGS at once: far speaks first, so these are read.
  world.until([&] { return answered() == count; });
  std::array<char, 1000> room{};
  for (const auto& one : strangers) REQUIRE(recv(one.get(), room.data(), room.size(), 0) > 0);
  const std::string says = http2_pair::client_preface() + http2_pair::connect(1);
  for (const auto& one : strangers) {
    REQUIRE(send(one.get(), says.data(), says.size(), MSG_NOSIGNAL) ==
            static_cast<ssize_t>(says.size()));
  }
  std::size_t turns = 0;
  world.until([&] {
    if (answered() > 0) ++turns;
    return answered() == count;
  });
  CHECK(turns == count);
  world.far.forget_all();
}

TEST_CASE("handshakes: who is cut, or is told to go, or goes while it waits costs none") {
  World world;
  world.far.table->measure_handshakes_with(&one_of<1>);
  Crowd crowd(world);
  crowd.come(6);
  world.until([&] { return crowd.answered(0); });
  CHECK(crowd.connections[1]->waits_for_us());
  crowd.connections[1]->cut();
  crowd.connections[2]->drain();
  CHECK_FALSE(crowd.connections[1]->waits_for_us());
  CHECK_FALSE(crowd.connections[2]->waits_for_us());
  const linger aborts{1, 0};
  setsockopt(crowd.sockets[3].get(), SOL_SOCKET, SO_LINGER, &aborts, sizeof aborts);
  crowd.sockets[3].close();
  std::swap(crowd.sockets[3], crowd.sockets[5]);
  std::swap(crowd.connections[3], crowd.connections[5]);
  crowd.sockets.pop_back();
  world.until([&] { return crowd.answered(3) && crowd.answered(4); });
  CHECK_FALSE(crowd.answered(1));
  CHECK_FALSE(crowd.answered(2));
  world.until([&] { return world.far.closed == 3; });
  world.far.table->cut_all();
  world.until([&] { return world.far.gone; });
}

TEST_CASE("handshakes: tables may be cut, or go, while some wait") {
  World world;
  world.far.table->measure_handshakes_with(&one_of<1>);
  Crowd crowd(world);
  crowd.come(10);
  world.until([&] { return crowd.answered() == 2; });
  world.far.table->cut_all();
  world.until([&] { return world.far.gone; });
  CHECK(crowd.answered() == 2);
  Crowd late(world);
  late.come(10);
  world.until([&] { return late.answered() == 1; });
}

TEST_CASE("handshakes: what has arrived in time counts, even if the worker comes to it later") {
  World world;
  world.options.ready_within_ms = 500;
  world.far.table->measure_handshakes_with(&one_of<1>);
  Crowd crowd(world);
  const net::Descriptor socket = world.join(world.far, &far_tls());
  finhold::tls::Endpoint client(near_tls());
  std::vector<std::byte> wire(20'000);
  std::vector<std::byte> plain(20'000);
  const auto say = [&](std::string_view text) {
    const auto size = client.write(std::as_bytes(std::span(text)), wire).made;
    REQUIRE(send(socket.get(), wire.data(), size, MSG_NOSIGNAL) == static_cast<ssize_t>(size));
  };
  say("");
  world.until([&] { return waits(socket); });
  const ssize_t heard = recv(socket.get(), wire.data(), wire.size(), 0);
  REQUIRE(heard > 0);
  client.read(std::span(wire).first(static_cast<std::size_t>(heard)), plain);
  REQUIRE(client.state() == State::open);
  say("");
  say(http2_pair::client_preface());
  const net::Instant until = world.loop.now() + world.options.ready_within_ms;
  while (world.loop.now() <= until) uv_update_time(world.loop.raw());
  crowd.come(3);
  world.until([&] { return world.far.told == "ready"; });
}

TEST_CASE("handshakes: who waits for us is not the one that makes room for others") {
  tunnel_world::World world;
  world.far_connections.measure_handshakes_with(&one_of<1>);
  world.far_settings.connections = 7;
  world.far_tls = &far_tls();
  world.start_far();
  std::vector<net::Descriptor> clients;
  const auto come = [&](int count) {
    for (int i = 0; i < count; ++i) {
      clients.emplace_back(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
      const auto& to = world.far_settings.route.listen;
      REQUIRE(connect(clients.back().get(), to.raw(), to.length()) == 0);
    }
  };
  // All are slow; then six of them send their hellos, and three more come when one has its answer.
  come(7);
  world.until([&] { return world.far->connections() == 7; });
  const net::Instant until = world.loop.now() + 1000;
  while (world.loop.now() < until) uv_update_time(world.loop.raw());
  for (std::size_t i = 0; i < 6; ++i) say_hello(clients[i]);
  const auto answered = [&] { return std::count_if(clients.begin(), clients.end(), waits); };
  world.until([&] { return answered() == 1; });
  come(3);
  world.until([&] { return answered() == 6; });
}

TEST_CASE("handshakes: time that a connection waits for us is not its own, up to as much again") {
  ReadyTime time(1000, 100);
  CHECK(time.end() == 1100);
  time.begin_wait(1010);
  time.end_wait(1040);
  CHECK(time.end() == 1130);
  time.begin_wait(1100);
  CHECK(time.end() == 1130);
  time.end_wait(1120);
  CHECK(time.end() == 1150);
  time.begin_wait(1150);
  time.end_wait(9000);
  CHECK(time.end() == 1200);
  CHECK(time.duration() == 100);
}
