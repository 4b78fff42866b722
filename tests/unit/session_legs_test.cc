// Sessions whose legs are no connections of their own: what a tunnel will give them.
#include <memory>
#include <string>
#include <sys/socket.h>
#include <utility>

#include <doctest/doctest.h>

#include "base/log.h"
#include "listening_socket.h"
#include "memory_leg.h"
#include "net/loop.h"
#include "net/poller.h"
#include "net/timers.h"
#include "relay/session_table.h"

namespace finhold::tests {

namespace {

// What a worker is to its table. `client` and `server` are the legs of its session, while it lives.
class Sessions : private relay::SessionTable::Owner {
 public:
  Sessions() { base::log::configure(base::log::Level::error, base::log::Format::text); }
  ~Sessions() { base::log::configure(base::log::Level::info, base::log::Format::text); }
  Sessions(const Sessions&) = delete;
  Sessions& operator=(const Sessions&) = delete;

  // A session between a client in memory and a server in memory, or one at `address`.
  void open(const base::Address& address, bool dialed) {
    auto leg = std::make_unique<MemoryLeg>(client_fate);
    client = leg.get();
    if (!dialed) {
      next_ = std::make_unique<MemoryLeg>(server_fate);
      server = next_.get();
    }
    table_.open(route, std::move(leg), {}, address);
  }

  // Until the sessions are over and destroyed.
  void run() { poller_.run(); }
  [[nodiscard]] bool over() const { return table_.empty(); }

  relay::Route route;
  MemoryLeg* client = nullptr;
  MemoryLeg* server = nullptr;
  std::string client_fate;
  std::string server_fate;

 private:
  void on_empty() override { poller_.stop(); }
  std::unique_ptr<relay::Leg> leg_to_server(const relay::Session&) override {
    return std::move(next_);
  }

  net::Loop loop_;
  net::Poller poller_{loop_};
  net::Timers timers_{loop_};
  relay::SessionQuota quota_{10, false};
  relay::SessionTable table_{loop_, poller_, timers_, quota_, *this, {}};
  std::unique_ptr<MemoryLeg> next_;
};

}  // namespace

TEST_CASE("two legs that are no connections are relayed, and end, as TCP legs do") {
  Sessions sessions;
  sessions.route.fin.crosses = core::Crosses::none;
  sessions.open({}, false);
  sessions.client->send("question");
  sessions.client->send_end();
  CHECK(sessions.server->got() == "question.");
  sessions.server->send("answer");
  CHECK(sessions.client->got() == "answer");
  sessions.server->send_end();
  CHECK(sessions.client_fate == "closed");
  CHECK(sessions.server_fate == "closed");
  sessions.run();
  CHECK(sessions.over());
}

TEST_CASE("a FIN towards a crossing leg that is no connection is held") {
  Sessions sessions;
  sessions.open({}, false);
  sessions.client->send("question");
  sessions.client->send_end();
  CHECK(sessions.server->got() == "question");
  sessions.server->send_end();
  CHECK(sessions.server_fate == "closed");
  CHECK(sessions.client_fate == "closed");
}

TEST_CASE("a server leg that fails resets the client, after what came before") {
  Sessions sessions;
  sessions.open({}, false);
  sessions.server->send("half of an ans");
  sessions.server->fail(ECONNRESET);
  CHECK(sessions.client_fate == "reset");
  CHECK(sessions.server_fate == "reset");
}

TEST_CASE("bytes of the client go to a server leg at once, and its refusal resets the client") {
  Sessions sessions;
  sessions.open({}, false);
  sessions.client->send("early");
  CHECK(sessions.server->got() == "early");
  sessions.server->fail(ECONNREFUSED);
  CHECK(sessions.client_fate == "reset");
}

TEST_CASE("a client leg is told when its server has been reached") {
  const ListeningSocket server;
  Sessions sessions;
  sessions.route.fin.crosses = core::Crosses::none;
  sessions.open(server.address, true);
  sessions.client->send("early");
  sessions.client->send_end();
  const net::Descriptor accepted(accept(server.fd.get(), nullptr, nullptr));
  REQUIRE(send(accepted.get(), "answer", 6, 0) == 6);
  REQUIRE(shutdown(accepted.get(), SHUT_WR) == 0);
  sessions.run();
  CHECK(sessions.client_fate == "accepted closed");
  std::string got(100, ' ');
  const ssize_t count = recv(accepted.get(), got.data(), got.size(), MSG_WAITALL);
  CHECK(got.substr(0, static_cast<std::size_t>(count)) == "early");
}

TEST_CASE("a client leg is told why its server was not reached") {
  const ListeningSocket server(0);
  Sessions sessions;
  sessions.open(server.address, true);
  sessions.run();
  CHECK(sessions.client_fate == "server-refused");
}

}  // namespace finhold::tests
