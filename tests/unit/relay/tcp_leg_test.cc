// A leg that is a TCP connection, with the socket of its other end.
#include "relay/tcp_leg.h"

#include <array>
#include <cstddef>
#include <optional>
#include <poll.h>
#include <sys/socket.h>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "net/socket.h"
#include "unit/awaiting.h"
#include "unit/tunnel/connection_pair.h"

namespace finhold::tests {

namespace {

// A leg whose other end has a small buffer, and has not read yet.
struct World final : connection_pair::Machine, private relay::Leg::Owner {
  World() {
    fd = sockets.one.get();
    REQUIRE(leg.open(std::move(sockets.one), false).code == 0);
  }
  World(const World&) = delete;
  World& operator=(const World&) = delete;
  virtual ~World() = default;

  // Until nothing more goes in, since the other end has no room.
  void fill() {
    const std::vector<std::byte> zeros(4096);
    do {
      written += leg.write(zeros);
    } while (is(fd, POLLOUT, 50));
    REQUIRE(net::unsent_bytes(fd) > 0);
  }
  // What the other end reads until the end; nothing before anything else. The leg, which closes,
  // sends on meanwhile.
  std::optional<std::size_t> read_to_the_end() {
    std::array<char, 4096> room{};
    std::size_t total = 0;
    while (is(sockets.other.get(), POLLIN, 5000)) {
      const ssize_t count = recv(sockets.other.get(), room.data(), room.size(), 0);
      if (count < 0) return std::nullopt;
      if (count == 0) return total;
      total += static_cast<std::size_t>(count);
      if (leg.is_open()) static_cast<void>(leg.close_in_order(false));
    }
    return std::nullopt;
  }

  connection_pair::Sockets sockets = connection_pair::connected(true);
  int fd = -1;
  relay::TcpLeg leg{poller, *this, base::Side::client};
  std::size_t written = 0;
  int edges = 0;
  Awaiting awaiting{loop, poller, timers};

 private:
  static bool is(int socket, short events, int within_ms) {
    pollfd entry{socket, events, 0};
    return poll(&entry, 1, within_ms) == 1;
  }
  void on_leg_ready(base::Side /*side*/) override { ++edges; }
};

}  // namespace

TEST_CASE("R7: a silent reader is not given up while the kernel need not repeat itself") {
  World world;
  world.fill();
  net::Answers answers = net::answers(world.fd);
  for (int i = 0; answers.last_answer_ms < 2 && i < 1000; ++i) {
    static_cast<void>(poll(nullptr, 0, 1));
    answers = net::answers(world.fd);
  }
  REQUIRE(answers.outstanding);
  REQUIRE_FALSE(answers.repeating);
  CHECK_FALSE(world.leg.check_answers(1));
  CHECK(world.leg.failed() == 0);
}

TEST_CASE("R1: a leg whose reader is slow stays open, and closes behind the last byte") {
  World world;
  world.fill();
  CHECK_FALSE(world.leg.close_in_order(false));
  CHECK(world.leg.is_open());
  CHECK(world.read_to_the_end() == world.written);
  CHECK_FALSE(world.leg.is_open());
}

TEST_CASE("R4: a leg that closes behind a slow reader's bytes is still reset by a reset") {
  World world;
  world.fill();
  CHECK_FALSE(world.leg.close_in_order(false));
  world.leg.reset();
  CHECK_FALSE(world.read_to_the_end().has_value());
}

// The kernel wakes who waits for the state of the connection and again for its error: one edge or
// two, by chance. Found by random walks (tests/integration/closing/test_walks.py), seed 103.
TEST_CASE("R4: a reset that is told twice makes no end of bytes that waited") {
  World world;
  const std::array<char, 10> bytes{};
  REQUIRE(send(world.sockets.other.get(), bytes.data(), bytes.size(), 0) == 10);
  world.leg.send_fin();
  world.sockets.other.close();  // by a RST: SO_LINGER is armed
  REQUIRE(world.awaiting.until([&world] { return world.leg.failed() != 0; }));
  const int once = world.edges;
  auto& watcher = (net::Watcher&)world.leg;  // NOLINT: private, and the same edge is told anew
  REQUIRE(world.poller.change(world.fd, net::Poller::every_edge, watcher).code == 0);
  REQUIRE(world.awaiting.until([&world, once] { return world.edges > once; }));

  std::array<std::byte, 100> room{};
  CHECK(world.leg.read(room).count == 10);
  CHECK(world.leg.read(room).what == relay::Leg::Read::What::failed);
  CHECK_FALSE(world.leg.end_arrived());
}

}  // namespace finhold::tests
