// Dials of given addresses. tests/integration/operation/test_dialing.py has those of names, and
// their times.
#include "net/dialer.h"

#include <array>
#include <cerrno>
#include <functional>
#include <netinet/in.h>
#include <string_view>
#include <sys/socket.h>
#include <vector>

#include <doctest/doctest.h>

#include "net/socket.h"
#include "unit/net/listening_socket.h"

namespace finhold::tests {

namespace {

class Dial final : private net::Dialer::Owner {
 public:
  // `meanwhile`: the dial is under way, and nothing of it was told yet.
  void run(
      const std::vector<base::Address>& servers, const std::function<void()>& meanwhile = [] {}) {
    net::Dialer dialer(loop_, poller_, timers_, resolver_, *this, {});
    dialer.start(servers);
    meanwhile();
    if (calls == 0) poller_.run();
    CHECK(calls == 1);
  }

  net::Descriptor fd;
  base::Address server;
  base::Error error{};
  bool unresolved = false;
  int calls = 0;

 private:
  void on_dialed(net::Descriptor connected, base::Address address, bool) override {
    fd = std::move(connected);
    server = address;
    told();
  }
  void on_dial_failed(base::Error why, bool no_address) override {
    error = why;
    unresolved = no_address;
    told();
  }
  void told() {
    ++calls;
    poller_.stop();
  }

  net::Loop loop_;
  net::Poller poller_{loop_};
  net::Timers timers_{loop_};
  net::Resolver resolver_{loop_};
};

}  // namespace

TEST_CASE("given addresses are dialed in their order, until one answers") {
  const ListeningSocket closed(0);
  const ListeningSocket first;
  const ListeningSocket second;
  Dial dial;
  dial.run({closed.address, first.address, second.address});
  REQUIRE(dial.fd.valid());
  CHECK(dial.server == first.address);
  CHECK(net::local_address(dial.fd.get()).value().port() != 0);
}

TEST_CASE("R4: a server that ends and resets before the dial is told of has been reached") {
  // One waits already, so that the kernel takes the dial only when it repeats its SYN: else the
  // dialer would know at once that it is connected.
  const ListeningSocket busy(1);
  const ListeningSocket other;
  std::vector<net::Descriptor> waiting;
  for (int i = 0; i < 2; ++i) {
    waiting.emplace_back(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    REQUIRE(connect(waiting.back().get(), busy.address.raw(), busy.address.length()) == 0);
  }
  std::string_view said;
  SUBCASE("with bytes") { said = "busy"; }
  SUBCASE("with its end alone") {}
  Dial dial;
  dial.run({busy.address, other.address}, [&] {
    for (const auto& each : waiting) {
      REQUIRE(net::Descriptor(accept(busy.fd.get(), nullptr, nullptr)).valid());
      REQUIRE(each.valid());
    }
    const net::Descriptor accepted(accept(busy.fd.get(), nullptr, nullptr));
    REQUIRE(accepted.valid());
    REQUIRE(send(accepted.get(), said.data(), said.size(), MSG_NOSIGNAL) >= 0);
    shutdown(accepted.get(), SHUT_WR);
    const linger at_once{1, 0};
    REQUIRE(setsockopt(accepted.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once) == 0);
  });
  REQUIRE(dial.fd.valid());
  CHECK(dial.server == busy.address);
  std::array<char, 8> got{};
  CHECK(recv(dial.fd.get(), got.data(), got.size(), 0) == static_cast<ssize_t>(said.size()));
  CHECK(recv(dial.fd.get(), got.data(), got.size(), 0) == 0);
  CHECK(net::take_socket_error(dial.fd.get()) == EPIPE);
}

TEST_CASE("where none of the given addresses answers, the error is the last one's") {
  const ListeningSocket closed(0);
  Dial dial;
  dial.run({closed.address, closed.address});
  CHECK_FALSE(dial.fd.valid());
  CHECK(dial.error.code == ECONNREFUSED);
  CHECK_FALSE(dial.unresolved);
}

}  // namespace finhold::tests
