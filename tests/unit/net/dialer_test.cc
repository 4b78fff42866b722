// Dials of given addresses. tests/integration/operation/test_dialing.py has those of names, and
// their times.
#include "net/dialer.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <vector>

#include <doctest/doctest.h>

#include "net/socket.h"
#include "unit/net/listening_socket.h"

namespace finhold::tests {

namespace {

class Dial final : private net::Dialer::Owner {
 public:
  void run(const std::vector<base::Address>& servers) {
    net::Dialer dialer(loop_, poller_, timers_, resolver_, *this, {});
    dialer.start(servers);
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
  CHECK(net::local_address(dial.fd.get()).port() != 0);
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
