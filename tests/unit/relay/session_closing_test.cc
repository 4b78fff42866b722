// What a session does while bytes are on their way to one who may be slow, or gone: when a held FIN
// goes out, and how it closes. The legs are a test's, so it is known what has arrived and when.
#include <cerrno>
#include <chrono>
#include <string>

#include <doctest/doctest.h>

#include "unit/relay/session_world.h"

namespace finhold::tests {

using std::chrono::milliseconds;

namespace {

// Both have ended, and the client has not read all: the session closes.
struct Closing : Sessions {
  explicit Closing(relay::Intercept intercept = relay::Intercept::none) {
    route.fin.crosses = core::Crosses::none;
    route.intercept = intercept;
    open();
    client->send("question");
    client->send_end();
    server->send("answer");
  }
};

}  // namespace

TEST_CASE("R3: it is not quiet while bytes are on their way to who may wait for the end") {
  Sessions sessions;
  sessions.route.fin.release_when_quiet = {milliseconds(20), milliseconds(20)};
  sessions.route.fin.learns_quiet = {};
  sessions.open();
  sessions.client->send("question");
  sessions.server->keep_on_the_way(5);
  sessions.client->send_end();
  const auto released = [&] { return sessions.server->got().ends_with('.'); };
  sessions.until([&] { return sessions.server->looks() > 8 || released(); });
  CHECK_FALSE(released());
  sessions.server->keep_on_the_way(0);
  sessions.until(released);
  sessions.cut();
  CHECK(sessions.server_fate == "reset");
}

TEST_CASE("R4: an end that came before the tunnel was lost is one, for a slow reader too") {
  Sessions sessions;
  const LogCapture log;
  sessions.open();
  sessions.client->make_room(3);
  sessions.server->send("answer");
  sessions.server->send_end();
  sessions.server->fail(core::Ending::tunnel_lost);
  CHECK(sessions.client->got() == "ans");
  CHECK(sessions.client_fate.empty());
  sessions.client->keep_on_the_way(3);
  sessions.client->make_room(100);
  CHECK(sessions.client->got() == "answer.");
  CHECK(sessions.client_fate.empty());
  sessions.client->keep_on_the_way(0);
  sessions.run();
  CHECK(sessions.client_fate == "reset");
  CHECK(log.has(" ending=tunnel-lost "));
  CHECK(log.has(" first_fin=server "));
  CHECK(log.has(" to_client=6 "));
}

TEST_CASE("closing: a slow reader's last bytes keep its leg open, and then it is closed") {
  Closing session;
  const LogCapture log;
  session.client->keep_on_the_way(5);
  session.server->send_end();
  CHECK(session.server_fate == "closed");
  CHECK(session.client_fate.empty());
  CHECK(session.client->got() == "answer.");
  session.client->keep_on_the_way(2);
  session.client->make_room(100);  // an event, and not the last
  CHECK(session.client_fate.empty());
  session.client->arrived();
  CHECK(session.client_fate == "closed");
  CHECK(log.has(" ending=finished "));
  CHECK(log.has(" to_client=6 "));
  CHECK_FALSE(log.has("taken_to_client"));
}

TEST_CASE("closing: who goes amid its last bytes has not finished") {
  for (const auto intercept : {relay::Intercept::none, relay::Intercept::tproxy}) {
    Closing session(intercept);
    const LogCapture log;
    session.client->keep_on_the_way(5);
    session.server->send_end();
    CHECK(session.client_fate.empty());
    session.client->fail(ECONNRESET);
    CHECK_FALSE(session.client_fate.empty());
    CHECK(log.has(" ending=client-reset "));
    CHECK(log.has(" to_client=1 "));
    CHECK(log.has(" taken_to_client=6 "));
  }
}

TEST_CASE("closing: a reset that answers nothing but the last FIN is no failure, silence is one") {
  for (const bool silence : {false, true}) {
    CAPTURE(silence);
    Closing session(relay::Intercept::tproxy);
    const LogCapture log;
    session.client->keep_on_the_way(0, true);
    session.server->send_end();
    CHECK(session.client->got() == "answer.");
    CHECK(session.client_fate.empty());
    session.client->fail(silence ? ETIMEDOUT : ECONNRESET);
    CHECK(session.client_fate == "closed");
    CHECK(log.has(silence ? " ending=client-vanished " : " ending=finished "));
    CHECK(log.has(" to_client=6 "));
  }
}

TEST_CASE("closing: without tproxy nobody waits for the acknowledgement of a FIN") {
  Closing session;
  session.client->keep_on_the_way(0, true);
  session.server->send_end();
  CHECK(session.client_fate == "closed");
}

TEST_CASE("closing: cut amid the last bytes, and no earlier, the ending says so") {
  Closing session;
  const LogCapture log;
  session.client->keep_on_the_way(5);
  session.server->send_end();
  session.cut();
  CHECK(session.client_fate == "closed");  // no reset: both have ended
  CHECK(log.has(" ending=drain-limit "));
  CHECK(log.has(" to_client=1 "));
}

}  // namespace finhold::tests
