// The two ends of a pair, with servers behind the far one.
#include <algorithm>
#include <cerrno>
#include <memory>
#include <string>
#include <sys/socket.h>
#include <vector>

#include <doctest/doctest.h>

#include "unit/http2/endpoint_pair.h"
#include "unit/tunnel/tunnel_world.h"

namespace finhold::tests {

using core::Ending;
using tunnel_world::Client;
using tunnel_world::Listening;
using tunnel_world::receive;
using tunnel_world::World;

namespace {

void allow(World& world, const std::string& entry) {
  world.far_settings.allow.push_back(tunnel::AllowEntry::parse(entry).value());
}

void allow(World& world, const Listening& server) { allow(world, server.address.text()); }

// Receives until it is that.
void expect(World& world, int fd, const std::string& text) {
  std::string got;
  world.until([&] {
    got += receive(fd);
    return got.size() >= text.size();
  });
  CHECK(got == text);
}

void expect(World& world, const Client& client, const std::string& text) {
  world.until([&] { return client.got.size() >= text.size(); });
  CHECK(client.got == text);
}

void send_text(int fd, const std::string& text) {
  REQUIRE(send(fd, text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size()));
}

}  // namespace

TEST_CASE("near and far: bytes and ends go both ways") {
  World world;
  const Listening server;
  allow(world, server);
  world.start();
  const auto client = world.client(server.address);
  client->write("question");
  client->leg->send_fin();
  const auto accepted = world.accepted(server);
  expect(world, accepted.get(), "question.");
  send_text(accepted.get(), "answer");
  REQUIRE(shutdown(accepted.get(), SHUT_WR) == 0);
  expect(world, *client, "answer.");
  CHECK(client->leg->close_in_order(false));
  world.until([&] { return world.sessions.empty(); });
  CHECK(world.quota.open() == 0);
  CHECK(world.near->connections() == 1);
  CHECK(world.near_connections.empty() == false);
}

TEST_CASE("near and far: a reset arrives as one, both ways") {
  World world;
  const Listening server;
  allow(world, server);
  world.start();
  SUBCASE("of the client") {
    const auto client = world.client(server.address);
    client->write("half");
    const auto accepted = world.accepted(server);
    expect(world, accepted.get(), "half");
    client->leg->reset();
    expect(world, accepted.get(), "!");
  }
  SUBCASE("of the server") {
    const auto client = world.client(server.address);
    auto accepted = world.accepted(server);
    send_text(accepted.get(), "half");
    expect(world, *client, "half");
    const linger now{1, 0};
    REQUIRE(setsockopt(accepted.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now) == 0);
    accepted.close();
    expect(world, *client, "half!");
    CHECK(client->ending() == Ending::server_reset);
  }
  world.until([&] { return world.sessions.empty(); });
}

TEST_CASE("near and far: a lost connection resets both sides, and another is dialed") {
  World world;
  const Listening server;
  allow(world, server);
  world.start();
  const auto client = world.client(server.address);
  const auto accepted = world.accepted(server);
  send_text(accepted.get(), "half");
  expect(world, *client, "half");
  world.far_connections.cut_all();
  expect(world, accepted.get(), "!");
  expect(world, *client, "half!");
  world.until([&] { return world.near->connections() == 1 && world.far->connections() == 1; });
  const auto next = world.client(server.address);
  CHECK(world.accepted(server).valid());
}

// Each costs some 50 us, and a near end may have thousands.
TEST_CASE("near and far: of sessions that are lost together a part is told in each turn") {
  World world;
  const Listening server;
  allow(world, server);
  world.start();
  constexpr std::size_t many = 100;
  std::vector<std::unique_ptr<Client>> clients;
  std::vector<net::Descriptor> accepted;
  for (std::size_t i = 0; i < many; ++i) {
    clients.push_back(world.client(server.address));
    accepted.push_back(world.accepted(server));
    send_text(accepted.back().get(), "here");
    expect(world, *clients.back(), "here");
  }
  REQUIRE(world.quota.open() == many);
  SUBCASE("cut by far") { world.far_connections.cut_all(); }
  SUBCASE("cut by near") { world.near_connections.cut_all(); }
  std::size_t told = 0;  // at the near end
  std::size_t ended = 0;
  std::size_t most = 0;
  world.until([&] {
    const auto failed = [](const auto& client) { return client->got == "here!"; };
    const auto now =
        static_cast<std::size_t>(std::count_if(clients.begin(), clients.end(), failed));
    most = std::max({most, now - told, many - world.quota.open() - ended});
    told = now;
    ended = many - world.quota.open();
    return told == many && ended == many;
  });
  CHECK(most <= static_cast<std::size_t>(tunnel::ResetQueue::most_told));
  for (const net::Descriptor& each : accepted) expect(world, each.get(), "!");
}

TEST_CASE("near: a leg waits for its connection, and has it when the far end comes") {
  World world;
  const Listening server;
  allow(world, server);
  world.start_far();
  world.far.reset();  // the port is known, and nobody listens
  world.start_near();
  const auto client = world.client(server.address);
  CHECK_FALSE(client->leg->writable());
  world.start_far();
  world.until([&] { return client->leg->writable(); });
  client->write("hello");
  const auto accepted = world.accepted(server);
  expect(world, accepted.get(), "hello");
}

TEST_CASE("near: a leg whose client ends, or goes, while it waits") {
  World world;
  const Listening server;
  allow(world, server);
  world.start_far();
  world.far.reset();
  world.start_near();
  auto gone = world.client(server.address);
  auto reset = world.client(server.address);
  const auto client = world.client(server.address);
  client->leg->send_fin();
  gone.reset();
  reset->leg->reset();
  CHECK_FALSE(reset->leg->is_open());
  world.start_far();
  const auto accepted = world.accepted(server);
  expect(world, accepted.get(), ".");
  CHECK_FALSE(server.accept().valid());
}

TEST_CASE("near: without a connection in time there is no tunnel") {
  World world;
  world.start_far();
  world.far.reset();
  SUBCASE("nobody listens") { world.start_near(); }
  SUBCASE("nobody answers") {
    const Listening silent;
    world.near_settings.far = {"127.0.0.1", silent.address.port()};
    world.start_near();
    world.connect_timeout = std::chrono::milliseconds(50);
    const auto client = world.client("10.0.0.1:1");
    expect(world, *client, "!");
    CHECK(client->ending() == Ending::no_tunnel);
    return;
  }
  world.connect_timeout = std::chrono::milliseconds(50);
  const auto client = world.client("10.0.0.1:1");
  expect(world, *client, "!");
  CHECK(client->leg->failed() == ETIMEDOUT);
  CHECK(client->ending() == Ending::no_tunnel);
}

TEST_CASE("near: legs that find no room have their turn, the longest waiting first") {
  World world;
  const Listening server;
  allow(world, server);
  world.near_settings.streams_per_connection = 1;
  world.far_settings.connections = 1;
  world.start();
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 3; ++i) {
    clients.push_back(world.client(server.address));
    if (clients.back()->leg->writable()) clients.back()->write("0");
  }
  CHECK(clients[0]->leg->writable());
  CHECK_FALSE(clients[1]->leg->writable());
  for (std::size_t i = 0; i < 3; ++i) {
    world.until([&] { return clients[i]->leg->writable(); });
    for (std::size_t later = i + 1; later < 3; ++later) {
      CHECK_FALSE(clients[later]->leg->writable());
    }
    const auto accepted = world.accepted(server);
    clients[i]->leg->reset();
  }
}

TEST_CASE("near: with one session a connection, others are ready already") {
  World world;
  const Listening server;
  allow(world, server);
  world.near_settings.streams_per_connection = 1;
  world.near_settings.connections = 2;
  world.start();
  world.until([&] { return world.near->connections() == 2; });
  std::vector<std::unique_ptr<Client>> clients;
  for (std::size_t i = 1; i <= 3; ++i) {
    clients.push_back(world.client(server.address));
    clients.back()->write("hello");
    const auto accepted = world.accepted(server);
    expect(world, accepted.get(), "hello");
    world.until([&] { return world.near->connections() == 2 + i; });
    CHECK(world.far->connections() == 2 + i);
  }
}

TEST_CASE("near: a burst has as many connections as it needs") {
  World world;
  const Listening server;
  allow(world, server);
  world.near_settings.streams_per_connection = 2;
  world.start();
  std::vector<std::unique_ptr<Client>> clients;
  clients.reserve(9);
  for (int i = 0; i < 9; ++i) clients.push_back(world.client(server.address));
  for (const auto& client : clients) {
    world.until([&] { return client->leg->writable(); });
  }
  world.until([&] { return world.quota.open() == 9; });
  CHECK(world.near->connections() >= 5);
  CHECK(world.near->connections() <= 6);
}

TEST_CASE("near: connections that a burst has left are closed, those to be kept are not") {
  World world;
  const Listening server;
  allow(world, server);
  world.near_settings.streams_per_connection = 1;
  world.near_settings.connections = 2;
  world.start();
  world.near->close_unused_after(50);
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 5; ++i) {
    clients.push_back(world.client(server.address));
    world.until([&] { return clients.back()->leg->writable(); });
  }
  world.until([&] { return world.near->connections() == 7; });
  for (const auto& client : clients) client->leg->reset();
  world.until([&] { return world.near->connections() == 2; });
  world.until([&] { return world.far->connections() == 2; });
  const auto client = world.client(server.address);
  CHECK(client->leg->writable());
}

TEST_CASE("near: after GOAWAY what is open goes on, and the next goes to another connection") {
  World world;
  const Listening server;
  allow(world, server);
  world.start();
  const auto client = world.client(server.address);
  const auto accepted = world.accepted(server);
  world.far->drain();
  world.start_far();  // the restarted one
  world.until([&] { return world.near->connections() == 2; });
  const auto next = world.client(server.address);
  const auto next_accepted = world.accepted(server);
  send_text(accepted.get(), "old");
  send_text(next_accepted.get(), "new");
  expect(world, *client, "old");
  expect(world, *next, "new");
  client->leg->reset();
  world.until([&] { return world.near->connections() == 1; });
  CHECK(next->leg->failed() == 0);
}

TEST_CASE("near: draining, its connections close after their last session") {
  World world;
  const Listening server;
  allow(world, server);
  world.start();
  const auto client = world.client(server.address);
  const auto accepted = world.accepted(server);
  world.near->drain();
  // A session that has begun already, and asks for its leg only now.
  const auto late = world.client(server.address);
  const auto late_accepted = world.accepted(server);
  for (const auto* one : {&client, &late}) (*one)->leg->send_fin();
  for (const auto* one : {&accepted, &late_accepted}) {
    expect(world, one->get(), ".");
    REQUIRE(shutdown(one->get(), SHUT_WR) == 0);
  }
  for (const auto* one : {&client, &late}) {
    expect(world, **one, ".");
    CHECK((*one)->leg->close_in_order(false));
  }
  world.until([&] { return world.near_connections.empty() && world.far_connections.empty(); });
  CHECK(world.near->connections() == 0);
  CHECK(world.far->connections() == 0);
}

TEST_CASE("near: draining before anything is open") {
  World world;
  const Listening silent;
  world.near_settings.far = {"127.0.0.1", silent.address.port()};
  world.start_near();
  world.near->drain();
  world.until([&] { return world.near_connections.empty(); });
}

TEST_CASE("near: without optimism nothing is sent before the answer") {
  World world;
  const Listening server;
  allow(world, server);
  world.near_settings.optimistic_data = false;
  world.start();
  const auto client = world.client(server.address);
  CHECK_FALSE(client->leg->writable());
  const auto accepted = world.accepted(server);
  world.until([&] { return client->leg->writable(); });
  client->write("hello");
  expect(world, accepted.get(), "hello");
}

TEST_CASE("far: what it refuses, and what the near end makes of that") {
  World world;
  const Listening server;
  Listening refusing;
  allow(world, server);
  allow(world, refusing);
  std::string authority = server.address.text();
  Ending ending = Ending::not_allowed;
  SUBCASE("not in allow") { authority = "127.0.0.1:1"; }
  SUBCASE("a name that is not in allow") { authority = "db.internal:5432"; }
  SUBCASE("the same address in another form") {
    authority = "[::ffff:0:0]:" + std::to_string(server.address.port());
  }
  SUBCASE("not in full") { authority = "127.1:" + std::to_string(server.address.port()); }
  SUBCASE("no token") { world.far_settings.token = "se-cret"; }
  SUBCASE("a wrong token") {
    world.far_settings.token = "se-cret";
    world.near_settings.token = "se-creT";
  }
  SUBCASE("no room") {
    for (int i = 0; i < 1000; ++i) world.quota.take();
    ending = Ending::far_busy;
  }
  SUBCASE("nobody listens there") {
    authority = refusing.address.text();
    refusing.socket.close();
    ending = Ending::server_refused;
  }
  world.start();
  const auto client = world.client(authority);
  client->write("early");
  expect(world, *client, "!");
  CHECK(client->leg->failed() == ECONNREFUSED);
  CHECK(client->ending() == ending);
  CHECK_FALSE(server.accept().valid());
  world.until([&] { return world.sessions.empty(); });
}

TEST_CASE("far: a server that does not answer in time") {
  World world;
  const Listening server;
  // A queue that is full: the kernel answers no SYN any more.
  REQUIRE(listen(server.socket.get(), 0) == 0);
  std::vector<net::Descriptor> queued;
  for (int i = 0; i < 3; ++i) {
    queued.emplace_back(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
    static_cast<void>(connect(queued.back().get(), server.address.raw(), server.address.length()));
  }
  allow(world, server);
  Ending ending = Ending::server_timeout;
  SUBCASE("the far end says so") {
    world.far_settings.route.connect_timeout = std::chrono::milliseconds(50);
  }
  SUBCASE("the far end is too patient") { world.connect_timeout = std::chrono::milliseconds(100); }
  world.start();
  const auto client = world.client(server.address);
  expect(world, *client, "!");
  CHECK(client->ending() == ending);
  world.until([&] { return world.sessions.empty(); });
}

TEST_CASE("far: the right token, and a name") {
  World world;
  const Listening server;
  const std::string port = std::to_string(server.address.port());
  world.far_settings.token = world.near_settings.token = "se-cret";
  allow(world, "0.0.0.0/0:" + port);
  SUBCASE("at an address that is listed") {
    allow(world, server);
    world.start();
    const auto client = world.client("localhost:" + port);
    client->write("hello");
    const auto accepted = world.accepted(server);
    expect(world, accepted.get(), "hello");
  }
  SUBCASE("loopback needs to be listed as an address") {
    world.start();
    const auto client = world.client("localhost:" + port);
    expect(world, *client, "!");
    CHECK(client->ending() == Ending::not_allowed);
  }
  SUBCASE("nobody waits for the answer any more") {
    world.start();
    {
      const auto client = world.client("localhost:" + port);
      client->leg->reset();
    }
    const auto client = world.client("localhost:" + port);
    expect(world, *client, "!");
  }
  SUBCASE("the connection is lost meanwhile") {
    world.start();
    const auto client = world.client("localhost:" + port);
    world.near_connections.cut_all();
    expect(world, *client, "!");
    CHECK(client->ending() == Ending::tunnel_lost);
    world.until([&] { return world.near->connections() == 1; });
  }
}

TEST_CASE("far: a name without an address") {
  World world;
  allow(world, "nobody.invalid:514");
  world.start();
  const auto client = world.client("nobody.invalid:514");
  expect(world, *client, "!");
  CHECK(client->ending() == Ending::server_unresolved);
}

TEST_CASE("far: the server is told who the client is") {
  World world;
  const Listening server;
  allow(world, server);
  world.far_settings.route.send_proxy = relay::ProxyHeader::v1;
  world.start();
  const auto client = world.client(server.address);
  client->write("hello");
  const auto accepted = world.accepted(server);
  expect(
      world, accepted.get(),
      "PROXY TCP4 192.0.2.7 127.0.0.1 4711 " + std::to_string(server.address.port()) + "\r\nhello");
}

TEST_CASE("near: a far end that allows no streams is asked ever more rarely") {
  World world;
  const Listening far;
  world.near_settings.far = {"127.0.0.1", far.address.port()};
  world.start_near();
  std::vector<net::Descriptor> accepted;
  std::string first;
  const net::Instant begin = world.loop.now();
  world.until([&] {
    net::Descriptor next = far.accept();
    if (next.valid()) {
      send_text(next.get(), http2_pair::frame(http2_pair::SETTINGS, 0, 0,
                                              std::string("\0\3", 2) + http2_pair::number(0)));
      accepted.push_back(std::move(next));
    }
    if (accepted.empty()) return false;
    first += receive(accepted.front().get());
    return accepted.size() == 4;
  });
  CHECK(world.loop.now() - begin >= 50 + 100 + 200);  // back-off, at its shortest
  CHECK(first.ends_with('.'));
  CHECK(world.near->connections() <= 1);
}

TEST_CASE("far: who connects and says nothing makes room for others") {
  World world;
  world.far_settings.connections = 2;
  world.start_far();
  std::vector<net::Descriptor> silent;
  for (int i = 0; i < 2; ++i) {
    silent.emplace_back(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const base::Address& to = world.far_settings.route.listen;
    REQUIRE(connect(silent.back().get(), to.raw(), to.length()) == 0);
  }
  world.until([&] { return world.far->connections() == 2; });
  const net::Instant begin = world.loop.now();
  world.start_near();
  world.until([&] { return world.near->connections() == 1; });
  CHECK(world.loop.now() - begin < 5000);  // half of the time that the silent ones have
  CHECK(world.far->connections() == 2);
}

TEST_CASE("far: at most so many connections") {
  World world;
  world.far_settings.connections = 1;
  world.near_settings.connections = 3;
  world.start();
  CHECK(world.far->connections() == 1);
  CHECK(world.near->connections() == 1);
}

}  // namespace finhold::tests
