// Whole sessions through a pair: a program's socket, near, the tunnel, far, a server's socket.
#include <algorithm>
#include <array>
#include <cerrno>
#include <functional>
#include <memory>
#include <poll.h>
#include <string>
#include <sys/socket.h>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "unit/http2/endpoint_pair.h"
#include "unit/tunnel/tunnel_world.h"

namespace finhold::tests {

using http2_pair::pattern;
using tunnel_world::Listening;
using tunnel_world::World;

namespace {

// What a program does with its socket: sends, ends, reads.
struct Program {
  explicit Program(net::Descriptor of) : fd(std::move(of)) {}

  void go() {
    while (sent < sends.size()) {
      const ssize_t count = send(fd.get(), sends.data() + sent, sends.size() - sent, MSG_NOSIGNAL);
      // An error is told once; recv() then goes on to 0.
      if (count < 0) failed = failed || errno != EAGAIN;
      if (count <= 0) break;
      sent += static_cast<std::size_t>(count);
    }
    if (sent == sends.size() && finishes && !finished) {
      finished = true;
      shutdown(fd.get(), SHUT_WR);
    }
    std::array<char, 65536> room{};
    while (reads && !over()) {
      const ssize_t count = recv(fd.get(), room.data(), room.size(), 0);
      if (count > 0) {
        got.append(room.data(), static_cast<std::size_t>(count));
      } else if (count == 0) {
        (failed ? reset : ended) = true;
      } else if (errno == EAGAIN) {
        break;
      } else {
        reset = true;
      }
    }
  }
  // The next close() is a RST.
  void abort() {
    const linger now{1, 0};
    REQUIRE(setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now) == 0);
    fd.close();
  }
  [[nodiscard]] bool over() const { return ended || reset; }

  net::Descriptor fd;
  std::string sends;
  std::size_t sent = 0;
  bool finishes = true;
  bool finished = false;
  bool reads = true;
  std::string got;
  bool failed = false;
  bool ended = false;
  bool reset = false;
};

struct Session {
  Session(World& world, const Listening& listening)
      : client(world.connected(listening.address)), server(world.accepted(listening)) {}

  void go() {
    client.go();
    server.go();
  }
  [[nodiscard]] bool over() const { return client.over() && server.over(); }

  Program client;
  Program server;
};

struct Pair {
  Pair() {
    world.far_settings.allow.push_back(tunnel::AllowEntry::parse(listening.address.text()).value());
    world.start();
  }
  Session& session() {
    programs.push_back(std::make_unique<Session>(world, listening));
    return *programs.back();
  }
  void go_until(const std::function<bool()>& is_so) {
    world.until([&] {
      for (const auto& one : programs) one->go();
      return is_so();
    });
  }
  void all_over() {
    go_until([&] {
      return std::all_of(programs.begin(), programs.end(),
                         [](const auto& one) { return one->over(); });
    });
  }

  const Listening listening;
  World world;
  std::vector<std::unique_ptr<Session>> programs;
};

}  // namespace

TEST_CASE("pair: any bytes and ends, in any order, arrive whole, and then everything is over") {
  const std::vector<std::size_t> sizes = {0, 1, 100'000, 3'000'000};
  for (const std::size_t up : sizes) {
    for (const std::size_t down : sizes) {
      for (const int first : {0, 1, 2}) {
        CAPTURE(up);
        CAPTURE(down);
        CAPTURE(first);
        Pair pair;
        Session& session = pair.session();
        session.client.sends = pattern(up, 1);
        session.server.sends = pattern(down, 2);
        // 1: the server answers only after the end. 2: the client ends only after the answer.
        session.server.finishes = first != 1;
        session.client.finishes = first != 2;
        if (first != 0) {
          Program& waits = first == 1 ? session.server : session.client;
          const Program& begins = first == 1 ? session.client : session.server;
          const std::string held = std::exchange(waits.sends, {});
          pair.go_until([&] { return waits.ended; });
          CHECK_FALSE(begins.over());
          waits.sends = held;
          waits.finishes = true;
        }
        pair.all_over();
        CHECK(session.server.ended);
        CHECK(session.client.ended);
        CHECK(session.server.got == session.client.sends);
        CHECK(session.client.got == session.server.sends);
        pair.world.until([&] { return pair.world.sessions.empty(); });
        CHECK(pair.world.near->connections() == 1);
      }
    }
  }
}

TEST_CASE("pair: many sessions share a connection") {
  Pair pair;
  for (unsigned i = 0; i < 60; ++i) {
    Session& session = pair.session();
    const std::size_t size = std::size_t{10'000} * i;
    session.client.sends = pattern(size, i);
    session.server.sends = pattern(600'000 - size, i + 100);
  }
  pair.all_over();
  for (const auto& session : pair.programs) {
    CHECK(session->client.ended);
    CHECK(session->server.ended);
    CHECK(session->client.got == session->server.sends);
    CHECK(session->server.got == session->client.sends);
  }
  CHECK(pair.world.near->connections() == 1);
}

TEST_CASE("pair: who does not read stops nobody else, and gets everything in the end") {
  Pair pair;
  Session& slow = pair.session();
  slow.client.reads = false;
  slow.server.sends = pattern(20'000'000, 1);
  slow.client.finishes = false;
  // Once everything is full nothing happens any more, but for what others do.
  for (int i = 0; i < 20; ++i) {
    const Session& quick = pair.session();
    pair.go_until([&] { return quick.over(); });
  }
  CHECK(slow.server.sent < slow.server.sends.size());
  Session& quick = pair.session();
  quick.client.sends = pattern(1'000'000, 2);
  quick.server.sends = pattern(1'000'000, 3);
  pair.go_until([&] { return quick.over(); });
  CHECK(quick.client.got == quick.server.sends);
  CHECK(quick.server.got == quick.client.sends);
  slow.client.reads = true;
  slow.client.finishes = true;
  pair.all_over();
  CHECK(slow.client.ended);
  CHECK(slow.client.got == slow.server.sends);
}

TEST_CASE("pair: a lost connection resets both sides of each session, whatever has ended") {
  for (const bool by_near : {true, false}) {
    Pair pair;
    for (int i = 0; i < 12; ++i) {
      Session& session = pair.session();
      session.client.finishes = i % 3 == 1;
      session.server.finishes = i % 3 == 2;
      // Some have much under way, some nothing.
      if (i < 6) session.client.sends = pattern(9'000'000, 1);
      if (i % 2 == 0) session.server.sends = pattern(9'000'000, 2);
      if (i < 6 && session.server.finishes) session.server.reads = i != 5;
    }
    pair.go_until([&] { return pair.programs[4]->client.got.size() > 100'000; });
    (by_near ? pair.world.near_connections : pair.world.far_connections).cut_all();
    // What had arrived is delivered first.
    pair.world.until([&] {
      for (const auto& session : pair.programs) {
        session->server.reads = true;
        session->go();
      }
      return pair.world.sessions.empty();
    });
    for (const auto& session : pair.programs) {
      session->go();
      for (const Program* one : {&session->client, &session->server}) {
        const Program& other = one == &session->client ? session->server : session->client;
        if (!other.finished || one->got.size() < other.sends.size()) CHECK_FALSE(one->ended);
        CHECK(one->got == other.sends.substr(0, one->got.size()));
      }
      CHECK((session->client.reset || session->server.reset));
    }
  }
}

TEST_CASE(
    "pair: an end that had come before its connection was lost is one, also read afterwards") {
  for (const bool to_server : {true, false}) {
    CAPTURE(to_server);
    Pair pair;
    Session& session = pair.session();
    Program& from = to_server ? session.client : session.server;
    Program& to = to_server ? session.server : session.client;
    from.sends = pattern(30'000, 1);
    to.finishes = to.reads = false;
    pair.go_until([&] {
      pollfd end{to.fd.get(), POLLRDHUP, 0};
      return poll(&end, 1, 0) == 1;
    });
    CHECK_FALSE(from.over());
    pair.world.far_connections.cut_all();
    pair.world.until([&] { return pair.world.sessions.empty(); });
    to.reads = true;
    session.go();
    CHECK(to.got == from.sends);
    CHECK(to.ended);
    CHECK(from.reset);
  }
}

TEST_CASE("pair: a RST arrives as one, also after the end of the other way") {
  for (const bool of_client : {true, false}) {
    for (const bool after_end : {true, false}) {
      Pair pair;
      Session& session = pair.session();
      Program& from = of_client ? session.client : session.server;
      Program& to = of_client ? session.server : session.client;
      from.sends = "half";
      from.finishes = false;
      to.finishes = after_end;
      pair.go_until([&] { return to.got == "half" && from.ended == after_end; });
      from.abort();
      pair.world.until([&] {
        to.go();
        return to.over();
      });
      CHECK(to.reset);
      CHECK_FALSE(to.ended);
      pair.world.until([&] { return pair.world.sessions.empty(); });
    }
  }
}

}  // namespace finhold::tests
