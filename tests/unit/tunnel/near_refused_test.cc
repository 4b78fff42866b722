// Sessions that the far end has not begun go to another stream, with all that was written. The far
// end is made by hand, frame by frame.
#include <algorithm>
#include <cerrno>
#include <functional>
#include <memory>
#include <string>
#include <sys/socket.h>
#include <vector>

#include <doctest/doctest.h>

#include "unit/http2/endpoint_pair.h"
#include "unit/tunnel/tunnel_world.h"

namespace finhold::tests {

using core::Ending;
using http2_pair::frame;
using http2_pair::number;
using http2_pair::pattern;
using tunnel_world::Client;
using tunnel_world::Listening;
using tunnel_world::receive;
using tunnel_world::World;

namespace {

constexpr std::uint32_t refused_stream = 7;
constexpr std::size_t window = 65'536;  // of the world's connections

// What the near end has sent over one connection.
struct ByHand {
  explicit ByHand(net::Descriptor of) : fd(std::move(of)) {
    // A window of 1 MiB for each stream, and for all.
    say(frame(http2_pair::SETTINGS, 0, 0, std::string("\0\4", 2) + number(1 << 20)) +
        frame(http2_pair::WINDOW_UPDATE, 0, 0, number(1 << 20)));
  }

  void say(const std::string& frames) const {
    REQUIRE(send(fd.get(), frames.data(), frames.size(), MSG_NOSIGNAL) ==
            static_cast<ssize_t>(frames.size()));
  }
  void go_away(std::uint32_t last) const {
    say(frame(http2_pair::GOAWAY, 0, 0, number(last) + number(0)));
  }
  void refuse(std::uint32_t stream) const {
    say(frame(http2_pair::RST_STREAM, 0, stream, number(refused_stream)));
  }
  void answer(std::uint32_t stream) const {
    say(frame(http2_pair::HEADERS, http2_pair::END_HEADERS, stream,
              http2_pair::fields({{":status", "200"}})));
  }

  // Requests of all time: streams are 1, 3, 5...
  std::size_t requests() { return count(http2_pair::HEADERS); }
  std::size_t resets() { return count(http2_pair::RST_STREAM); }
  std::size_t count(unsigned type) {
    std::size_t found = 0;
    for (const auto& one : all()) found += one.type == type ? 1 : 0;
    return found;
  }
  // The bytes of a stream, and "." for its end.
  std::string data(std::uint32_t stream) {
    std::string text;
    for (const auto& one : all()) {
      if (one.type != http2_pair::DATA || one.stream != stream) continue;
      text += one.payload;
      if ((one.flags & http2_pair::END_STREAM) != 0) text += '.';
    }
    return text;
  }
  std::vector<http2_pair::Frame> all() {
    received += receive(fd.get());
    auto found = http2_pair::frames(received);
    // The last may be here only in part.
    if (!found.empty() && found.back().type == http2_pair::DATA && !whole()) found.pop_back();
    return found;
  }
  // The near end has closed it.
  bool ended() {
    received += receive(fd.get());
    return received.ends_with('.');
  }
  [[nodiscard]] bool whole() const {
    std::size_t at = 24;  // the preface
    while (at + 9 <= received.size()) {
      at += 9 + http2_pair::number_in(std::string(1, '\0') + received.substr(at, 3));
    }
    return at == received.size();
  }

  net::Descriptor fd;
  std::string received;
};

struct FarByHand final : World {
  FarByHand() { near_settings.far = {"127.0.0.1", listening.address.port()}; }

  // The next connection.
  ByHand& accept() {
    connections.push_back(std::make_unique<ByHand>(accepted(listening)));
    return *connections.back();
  }
  // All that are to stand before there is a session.
  void start(std::size_t count = 1) {
    near_settings.connections = static_cast<std::uint32_t>(count);
    start_near();
    for (std::size_t i = 0; i < count; ++i) accept();
    until([&] { return near->connections() == count; });
  }
  void expect_request(ByHand& by_hand, std::size_t count = 1) {
    until([&] { return by_hand.requests() == count; });
  }
  void expect_data(ByHand& by_hand, std::uint32_t stream, const std::string& text) {
    until([&] { return by_hand.data(stream).size() >= text.size(); });
    CHECK((by_hand.data(stream) == text));
  }
  // Refuses every request, on every connection that comes.
  void refuse_all_until(const std::function<bool()>& is_so) {
    std::vector<std::size_t> refused(connections.size());
    until([&] {
      for (auto next = listening.accept(); next.valid(); next = listening.accept()) {
        connections.push_back(std::make_unique<ByHand>(std::move(next)));
      }
      refused.resize(connections.size());
      for (std::size_t place = 0; place < refused.size(); ++place) {
        while (refused[place] < connections[place]->requests()) {
          connections[place]->refuse(static_cast<std::uint32_t>(2 * refused[place]++ + 1));
        }
      }
      return is_so();
    });
  }
  // It is answered, and both sides end.
  void expect_finished(ByHand& by_hand, std::uint32_t stream, Client& client) {
    by_hand.answer(stream);
    by_hand.say(frame(http2_pair::DATA, http2_pair::END_STREAM, stream, "answer"));
    until([&] { return client.got.size() >= 7; });
    CHECK(client.got == "answer.");
    CHECK(client.leg->failed() == 0);
    until([&] { return client.leg->close_in_order(false); });
  }

  Listening listening;
  std::vector<std::unique_ptr<ByHand>> connections;
};

}  // namespace

TEST_CASE("near: what GOAWAY leaves unprocessed goes to another connection, to the byte") {
  FarByHand world;
  std::string text;
  bool ends = false;
  SUBCASE("nothing was written") {}
  SUBCASE("the end alone") { ends = true; }
  SUBCASE("bytes") { text = pattern(1000); }
  SUBCASE("bytes and the end") {
    text = pattern(1000);
    ends = true;
  }
  SUBCASE("as many as there is room for") { text = pattern(window); }
  SUBCASE("as many as there is room for, and the end") {
    text = pattern(window);
    ends = true;
  }
  world.start();
  const auto client = world.client("a.example:514");
  client->write(text);
  if (ends) client->leg->send_fin();
  ByHand& first = *world.connections[0];
  world.expect_request(first);
  world.expect_data(first, 1, text + (ends ? "." : ""));
  first.go_away(0);
  ByHand& second = world.accept();
  world.expect_request(second);
  CHECK(client->got.empty());
  world.expect_data(second, 1, text + (ends ? "." : ""));
  if (!ends) {
    // Nothing more is taken than can be kept; after the answer it is as ever.
    if (text.size() == window) CHECK(client->leg->write(std::as_bytes(std::span("x"))) == 0);
    second.answer(1);
    world.until([&] { return client->leg->writable(); });
    const std::string more = pattern(3 * window, 2);
    for (std::string_view left = more; !left.empty();) {
      world.until([&] { return client->leg->writable(); });
      left.remove_prefix(client->leg->write(std::as_bytes(std::span(left))));
    }
    client->leg->send_fin();
    world.expect_data(second, 1, text + more + ".");
    second.say(frame(http2_pair::DATA, http2_pair::END_STREAM, 1, "answer"));
    world.until([&] { return client->got.size() >= 7; });
    CHECK(client->got == "answer.");
    CHECK(client->leg->close_in_order(false));
    return;
  }
  world.expect_finished(second, 1, *client);
}

TEST_CASE("near: a GOAWAY that comes before the request was sent") {
  FarByHand world;
  world.start();
  ByHand& first = *world.connections[0];
  std::unique_ptr<Client> client;
  // At the end of a turn: it is received before the next one sends.
  world.until([&] {
    if (client) return !client->leg->writable();
    first.go_away(0x7FFFFFFF);  // of two steps, the first
    client = world.client("a.example:514");
    client->write("early");
    client->leg->send_fin();
    CHECK(client->leg->undelivered() == 5);
    return false;
  });
  ByHand& second = world.accept();
  CHECK(client->leg->undelivered() == 5);
  CHECK_FALSE(client->leg->delivered());
  world.expect_request(second);
  world.expect_data(second, 1, "early.");
  CHECK(first.requests() == 0);
  world.expect_finished(second, 1, *client);
}

TEST_CASE("near: a request that waits for room on a connection which is sent away") {
  FarByHand world;
  world.start();
  ByHand& first = *world.connections[0];
  std::unique_ptr<Client> client;
  world.until([&] {
    if (client) return !client->leg->writable();
    first.say(frame(http2_pair::SETTINGS, 0, 0, std::string("\0\3", 2) + number(0)));
    first.go_away(0);
    client = world.client("a.example:514");
    client->write("early");
    return false;
  });
  ByHand& second = world.accept();
  world.expect_request(second);
  world.expect_data(second, 1, "early");
  world.until([&] { return first.ended(); });
  CHECK(first.requests() == 0);
}

TEST_CASE("near: a connection without a session that may have none any more is closed") {
  FarByHand world;
  world.start();
  const std::string none = frame(http2_pair::SETTINGS, 0, 0, std::string("\0\3", 2) + number(0));
  ByHand& first = *world.connections[0];
  SUBCASE("none was there") { first.say(none); }
  SUBCASE("the last one was refused") {
    const auto client = world.client("a.example:514");
    world.expect_request(first);
    first.say(none + frame(http2_pair::HEADERS, http2_pair::END_HEADERS, 1,
                           http2_pair::fields({{":status", "502"}})));
    world.until([&] { return client->leg->failed() != 0; });
    client->leg->reset();
  }
  SUBCASE("the last one has ended") {
    const auto client = world.client("a.example:514");
    client->leg->send_fin();
    world.expect_request(first);
    first.say(none);
    world.expect_finished(first, 1, *client);
  }
  world.until([&] { return first.ended(); });
  CHECK(world.near->connections() == 0);
  // What comes next has another one.
  ByHand& second = world.accept();
  world.until([&] { return world.near->connections() == 1; });
  const auto client = world.client("a.example:514");
  client->leg->send_fin();
  world.expect_request(second);
  world.expect_finished(second, 1, *client);
}

TEST_CASE("near: connections that are sent away as soon as they are ready cost no try") {
  FarByHand world;
  constexpr std::size_t many = 10;  // more than a session has tries
  world.near_settings.connections = many;
  world.start_near();
  const auto client = world.client("a.example:514");
  std::vector<net::Descriptor> sockets;
  for (std::size_t i = 0; i < many; ++i) sockets.push_back(world.accepted(world.listening));
  for (auto& socket : sockets) {
    world.connections.push_back(std::make_unique<ByHand>(std::move(socket)));
    world.connections.back()->go_away(0x7FFFFFFF);
  }
  ByHand& good = world.accept();
  world.expect_request(good);
  client->write("early");
  client->leg->send_fin();
  world.expect_data(good, 1, "early.");
  for (std::size_t i = 0; i < many; ++i) CHECK(world.connections[i]->requests() == 0);
  world.expect_finished(good, 1, *client);
}

TEST_CASE("near: a GOAWAY with an error, before anything was processed") {
  FarByHand world;
  world.start();
  const auto client = world.client("a.example:514");
  client->write("early");
  world.expect_request(*world.connections[0]);
  world.connections[0]->say(frame(http2_pair::GOAWAY, 0, 0, number(0) + number(2)));
  ByHand& second = world.accept();
  world.expect_request(second);
  world.expect_data(second, 1, "early");
  world.expect_finished(second, 1, *client);
}

TEST_CASE("near: the sessions of a connection that is sent away, at whatever point they are") {
  FarByHand world;
  world.start();
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 20; ++i) {
    clients.push_back(world.client("a.example:514"));
    clients.back()->write(pattern(2000, static_cast<unsigned>(i)));
  }
  ByHand& first = *world.connections[0];
  world.expect_request(first, 20);
  constexpr std::uint32_t last = 2 * 10 - 1;  // the tenth
  first.go_away(last);
  ByHand& second = world.accept();
  world.expect_request(second, 10);
  for (std::uint32_t i = 0; i < 20; ++i) {
    ByHand& by_hand = i < 10 ? first : second;
    std::string found;
    for (std::uint32_t stream = 1; i >= 10 && stream < 20; stream += 2) {
      if (second.data(stream) == pattern(2000, i)) found += std::to_string(stream);
    }
    // In whatever order.
    const std::uint32_t stream = i < 10 ? 2 * i + 1 : static_cast<std::uint32_t>(std::stoul(found));
    world.expect_finished(by_hand, stream, *clients[i]);
  }
}

TEST_CASE("near: REFUSED_STREAM, and another connection takes it") {
  FarByHand world;
  world.start(2);
  const auto client = world.client("a.example:514");
  client->write("early");
  world.until([&] { return world.connections[0]->requests() + world.connections[1]->requests(); });
  const std::size_t used = world.connections[0]->requests() == 1 ? 0 : 1;
  world.connections[used]->refuse(1);
  ByHand& other = *world.connections[1 - used];
  world.expect_request(other);
  world.expect_data(other, 1, "early");
  world.expect_finished(other, 1, *client);
}

TEST_CASE("near: REFUSED_STREAM, without optimistic data") {
  FarByHand world;
  world.near_settings.optimistic_data = false;
  world.start();
  const auto client = world.client("a.example:514");
  client->leg->send_fin();
  ByHand& by_hand = *world.connections[0];
  world.expect_request(by_hand);
  by_hand.refuse(1);
  world.expect_request(by_hand, 2);
  CHECK_FALSE(client->leg->writable());
  by_hand.answer(3);
  world.expect_data(by_hand, 3, ".");
  CHECK(by_hand.data(1).empty());
}

TEST_CASE("near: who is refused goes before those that wait") {
  FarByHand world;
  world.near_settings.streams_per_connection = 1;
  world.start();
  const auto client = world.client("a.example:514");
  client->write("first");
  const auto later = world.client("a.example:514");
  CHECK_FALSE(later->leg->writable());
  ByHand& by_hand = *world.connections[0];
  world.expect_request(by_hand);
  by_hand.refuse(1);
  world.expect_request(by_hand, 2);
  world.expect_data(by_hand, 3, "first");
  CHECK_FALSE(later->leg->writable());
}

TEST_CASE("near: a connection that refuses one session twice rests, and another takes it") {
  FarByHand world;
  world.start();
  const auto client = world.client("a.example:514");
  client->write("early");
  ByHand& full = *world.connections[0];
  for (std::uint32_t i = 0; i < 2; ++i) {
    world.expect_request(full, i + 1);
    full.refuse(2 * i + 1);
  }
  ByHand& other = world.accept();
  world.expect_request(other);
  world.expect_data(other, 1, "early");
  world.expect_finished(other, 1, *client);
  const auto next = world.client("a.example:514");
  world.expect_request(other, 2);
  CHECK(full.requests() == 2);
  // It has room again.
  std::vector<std::unique_ptr<Client>> more;
  world.until([&] {
    more.push_back(world.client("a.example:514"));
    return full.requests() > 2;
  });
}

TEST_CASE("near: full connections that refuse a session in turn rest, and another takes it") {
  FarByHand world;
  world.start(2);
  const auto client = world.client("a.example:514");
  client->write("early");
  std::vector<std::size_t> refused(2);
  world.until([&] {
    for (std::size_t place = 0; place < refused.size(); ++place) {
      while (refused[place] < world.connections[place]->requests()) {
        world.connections[place]->refuse(static_cast<std::uint32_t>(2 * refused[place]++ + 1));
      }
    }
    auto next = world.listening.accept();
    if (next.valid()) world.connections.push_back(std::make_unique<ByHand>(std::move(next)));
    return world.connections.size() > 2 || client->leg->failed() != 0;
  });
  REQUIRE(world.connections.size() > 2);
  ByHand& other = *world.connections.back();
  world.expect_request(other);
  world.expect_finished(other, 1, *client);
}

TEST_CASE(
    "near: a far end that closes each connection once it is ready is asked ever more rarely") {
  FarByHand world;
  world.start();
  const net::Instant begin = world.loop.now();
  bool in_order = false;
  SUBCASE("with GOAWAY") { in_order = true; }
  SUBCASE("without") {}
  for (std::size_t i = 0; i < 4; ++i) {
    ByHand& last = *world.connections.back();
    if (in_order) last.go_away(0);
    last.fd.close();
    world.until([&] { return world.near->connections() == 0; });
    world.accept();
    world.until([&] { return world.near->connections() == 1; });
  }
  CHECK(world.loop.now() - begin >= 50 + 100 + 200 + 400);  // back-off, at its shortest
}

TEST_CASE("near: a far end that answers is asked again soon, whatever came before") {
  FarByHand world;
  world.start();
  const net::Instant begin = world.loop.now();
  constexpr std::size_t times = 8;
  for (std::size_t i = 0; i < times; ++i) {
    const auto client = world.client("a.example:514");
    ByHand& last = *world.connections.back();
    world.expect_request(last);
    last.answer(1);
    last.say(frame(http2_pair::DATA, 0, 1, "x"));
    world.until([&] { return client->got == "x"; });
    last.fd.close();
    world.until([&] { return client->got == "x!"; });
    world.accept();
    world.until([&] { return world.near->connections() == 1; });
  }
  CHECK(world.loop.now() - begin < 50 << (times - 1));  // the last pause would be longer
}

TEST_CASE("near: a far end that refuses everything is not asked for ever") {
  FarByHand world;
  SUBCASE("each stream") {
    world.start();
    const auto client = world.client("a.example:514");
    client->write("early");
    world.refuse_all_until([&] { return !client->got.empty(); });
    CHECK(client->got == "!");
    CHECK(client->ending() == Ending::far_busy);
    std::size_t tries = 0;
    for (const auto& one : world.connections) {
      tries += one->requests();
      if (one->requests() > 0) CHECK(one->data(1) == "early");
    }
    CHECK(tries == 6);
  }
  SUBCASE("each stream, of so many sessions that every connection that may rest does") {
    world.start();
    std::vector<std::unique_ptr<Client>> clients;
    clients.reserve(50);
    for (int i = 0; i < 50; ++i) clients.push_back(world.client("a.example:514"));
    world.refuse_all_until([&] {
      return std::all_of(clients.begin(), clients.end(),
                         [](const auto& client) { return client->got == "!"; });
    });
    for (const auto& client : clients) CHECK(client->ending() == Ending::far_busy);
    CHECK(world.connections.size() <= 10);
  }
  SUBCASE("each connection") {
    world.start(6);
    const auto client = world.client("a.example:514");
    client->write("early");
    for (std::size_t i = 0; i < 6; ++i) {
      ByHand* asked = nullptr;
      world.until([&] {
        for (const auto& one : world.connections) {
          if (one->fd.valid() && one->requests() > 0) asked = one.get();
        }
        return asked != nullptr;
      });
      CHECK(client->got.empty());
      asked->go_away(0);
      world.until([&] { return asked->ended(); });
      asked->fd.close();
    }
    world.until([&] { return !client->got.empty(); });
    CHECK(client->got == "!");
    CHECK(client->ending() == Ending::tunnel_lost);
  }
}

TEST_CASE("near: a stream that is refused after its answer is a loss") {
  FarByHand world;
  world.start();
  const auto client = world.client("a.example:514");
  client->write("early");
  ByHand& by_hand = *world.connections[0];
  world.expect_request(by_hand);
  by_hand.answer(1);
  SUBCASE("by itself") { by_hand.refuse(1); }
  SUBCASE("by GOAWAY") { by_hand.go_away(0); }
  world.until([&] { return !client->got.empty(); });
  CHECK(client->got == "!");
  CHECK(client->ending() == Ending::tunnel_lost);
}

TEST_CASE("near: a session that waits again still ends in its time, or with its client") {
  FarByHand world;
  world.connect_timeout = std::chrono::milliseconds(200);
  world.start();
  auto client = world.client("a.example:514");
  auto other = world.client("a.example:514");
  client->write("early");
  ByHand& first = *world.connections[0];
  world.expect_request(first, 2);
  first.go_away(0);
  world.until([&] { return world.near->connections() == 0; });
  other->leg->reset();
  SUBCASE("nobody takes it") {
    world.until([&] { return !client->got.empty(); });
    CHECK(client->got == "!");
    CHECK(client->ending() == Ending::no_tunnel);
  }
  SUBCASE("nobody answers it") {
    ByHand& second = world.accept();
    world.expect_request(second);
    world.until([&] { return !client->got.empty(); });
    CHECK(client->got == "!");
    CHECK(client->ending() == Ending::server_timeout);
  }
  SUBCASE("the client resets") {
    client->leg->reset();
    CHECK_FALSE(client->leg->is_open());
  }
  SUBCASE("the session is over") { client.reset(); }
}

TEST_CASE("near: a session that is refused while near drains gets its connection") {
  FarByHand world;
  world.start();
  const auto client = world.client("a.example:514");
  client->write("early");
  client->leg->send_fin();
  ByHand& first = *world.connections[0];
  world.expect_request(first);
  world.near->drain();
  SUBCASE("by itself") { first.refuse(1); }
  SUBCASE("by GOAWAY") { first.go_away(0); }
  ByHand& second = world.accept();
  world.expect_request(second);
  world.expect_data(second, 1, "early.");
  world.expect_finished(second, 1, *client);
  for (const auto& one : world.connections) {
    world.until([&] { return one->ended(); });
    one->fd.close();
  }
  world.until([&] { return world.near_connections.empty(); });
}

}  // namespace finhold::tests
