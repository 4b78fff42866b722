// Sessions whose legs are no connections of their own: what a tunnel will give them.
#include <cerrno>
#include <chrono>
#include <string>
#include <sys/socket.h>

#include <doctest/doctest.h>

#include "unit/net/listening_socket.h"
#include "unit/relay/session_world.h"

namespace finhold::tests {

TEST_CASE("two legs that are no connections are relayed, and end, as TCP legs do") {
  Sessions sessions;
  sessions.route.fin.crosses = core::Crosses::none;
  sessions.open();
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
  sessions.open();
  sessions.client->send("question");
  sessions.client->send_end();
  CHECK(sessions.server->got() == "question");
  sessions.server->send_end();
  CHECK(sessions.server_fate == "closed");
  CHECK(sessions.client_fate == "closed");
}

TEST_CASE("a server leg that fails resets the client, after what came before") {
  Sessions sessions;
  sessions.open();
  sessions.server->send("half of an ans");
  sessions.server->fail(ECONNRESET);
  CHECK(sessions.client_fate == "reset");
  CHECK(sessions.server_fate == "reset");
}

TEST_CASE("R4: a slow reader gets what came before the other leg failed, and then its reset") {
  Sessions sessions;
  sessions.open();
  sessions.client->make_room(3);
  sessions.server->send("answer");
  sessions.server->fail(ECONNRESET);
  CHECK(sessions.client->got() == "ans");
  CHECK(sessions.client_fate.empty());
  sessions.client->keep_on_the_way(1);
  sessions.client->make_room(100);
  sessions.server->fail(ECONNRESET);  // told a second time
  CHECK(sessions.client_fate.empty());
  CHECK(sessions.client->got() == "answer");
  sessions.client->keep_on_the_way(0);
  sessions.run();
  CHECK(sessions.client_fate == "reset");
  CHECK(sessions.server_fate == "reset");
}

TEST_CASE("R4: an end that came before the failure is one: the FIN, and then the reset") {
  Sessions sessions;
  const LogCapture log;
  sessions.open();
  sessions.client->make_room(3);
  sessions.server->send("answer");
  sessions.server->send_end();
  sessions.server->fail(EPIPE);
  CHECK(sessions.client_fate.empty());
  sessions.client->make_room(100);
  CHECK(sessions.client->got() == "answer.");
  CHECK(sessions.client_fate == "reset");
  CHECK(log.has(" first_fin=server "));
  CHECK(log.has(" gone=reset "));
}

TEST_CASE("R4: where the other way had ended too, nothing is reset") {
  Sessions sessions;
  sessions.route.fin.crosses = core::Crosses::none;
  const LogCapture log;
  sessions.open();
  sessions.client->send("question");
  sessions.client->send_end();
  sessions.client->make_room(3);
  sessions.server->send("answer");
  sessions.server->send_end();
  sessions.server->fail(EPIPE);
  CHECK(sessions.client_fate.empty());
  sessions.client->make_room(100);
  CHECK(sessions.server->got() == "question.");
  CHECK(sessions.client->got() == "answer.");
  CHECK(sessions.client_fate == "closed");
  CHECK(log.has(" ending=finished "));
}

TEST_CASE("R4: a held FIN goes out when its source is reset, and the reset once it is delivered") {
  Sessions sessions;
  sessions.open();
  sessions.client->send("question");
  sessions.client->send_end();
  CHECK(sessions.server->got() == "question");
  sessions.server->keep_on_the_way(5);
  sessions.client->fail(EPIPE);
  CHECK(sessions.server->got() == "question.");
  CHECK(sessions.server_fate.empty());
  sessions.server->keep_on_the_way(0);
  sessions.run();
  CHECK(sessions.server_fate == "reset");
}

TEST_CASE("R4: the reset waits until the other end's kernel has all bytes, which is no event") {
  Sessions sessions;
  const LogCapture log;
  sessions.open();
  sessions.server->send("answer");
  sessions.client->keep_on_the_way(5);
  sessions.server->fail(ECONNRESET);
  CHECK(sessions.client_fate.empty());
  sessions.client->keep_on_the_way(0);
  sessions.run();
  CHECK(sessions.client_fate == "reset");
  CHECK(log.has(" to_client=6 "));
  CHECK_FALSE(log.has("taken_to_client"));
}

TEST_CASE("R4: a reader that takes nothing is reset after the time of one that has vanished") {
  Sessions sessions;
  sessions.route.fin.vanished_after = std::chrono::milliseconds(20);
  const LogCapture log;
  sessions.open();
  sessions.client->make_room(4);
  sessions.client->keep_on_the_way(3);
  sessions.server->send("answer");
  sessions.server->fail(ECONNRESET);
  CHECK(sessions.client_fate.empty());
  sessions.run();
  CHECK(sessions.client_fate == "reset");
  CHECK(log.has(" ending=server-reset "));
  CHECK(log.has(" to_client=1 "));  // of 4 that the leg took
  CHECK(log.has(" taken_to_client=6 "));
}

TEST_CASE("R4: hold_at_most bounds how long what came before a failure is delivered") {
  Sessions sessions;
  sessions.route.fin.hold_at_most = std::chrono::milliseconds(20);
  sessions.open();
  sessions.client->make_room(3);
  sessions.server->send("answer");
  sessions.server->fail(ECONNRESET);
  CHECK(sessions.client_fate.empty());
  sessions.run();
  CHECK(sessions.client_fate == "reset");
}

TEST_CASE("R4: a second failure, or a cut, ends the delivering") {
  for (const bool cut : {false, true}) {
    Sessions sessions;
    sessions.open();
    sessions.client->make_room(3);
    sessions.server->send("answer");
    sessions.server->fail(ECONNRESET);
    CHECK(sessions.client_fate.empty());
    if (cut) {
      sessions.cut();
    } else {
      sessions.client->fail(ECONNRESET);
    }
    CHECK(sessions.client_fate == "reset");
    CHECK(sessions.server_fate == "reset");
  }
}

TEST_CASE("R4: who sends before it reads is not blocked by a leg that has failed") {
  Sessions sessions;
  const LogCapture log;
  sessions.open();
  sessions.client->make_room(3);
  sessions.server->make_room(2);
  sessions.server->send("no");
  sessions.client->send("a large request");
  sessions.client->send(" in two pieces");
  CHECK(sessions.client->unread() == " in two pieces");
  sessions.server->send(", thanks");
  sessions.server->fail(ECONNRESET);
  CHECK(sessions.client->got() == "no,");
  CHECK(sessions.client->unread().empty());
  sessions.client->send(", and more of it");
  CHECK(sessions.client->unread().empty());
  CHECK(sessions.client_fate.empty());
  sessions.client->make_room(100);
  CHECK(sessions.client->got() == "no, thanks");
  CHECK(sessions.client_fate == "reset");
  CHECK(log.has(" to_server=2 "));
  CHECK(log.has(" taken_to_server=45 "));
}

TEST_CASE("closing: after both ends a reader that takes nothing more is reset") {
  Sessions sessions;
  sessions.route.fin.crosses = core::Crosses::none;
  sessions.route.fin.closing = std::chrono::milliseconds(20);
  const LogCapture log;
  sessions.open();
  sessions.client->make_room(3);
  sessions.server->send("answer");
  sessions.server->send_end();
  sessions.client->send_end();
  CHECK(sessions.client_fate.empty());
  sessions.run();
  CHECK(sessions.client_fate == "reset");
  CHECK(log.has(" ending=closing "));
}

TEST_CASE("idle: a session in which nothing moves is reset") {
  Sessions sessions;
  sessions.route.fin.idle = std::chrono::milliseconds(20);
  const LogCapture log;
  sessions.open();
  sessions.client->send("question");
  CHECK(sessions.client_fate.empty());
  sessions.run();
  CHECK(sessions.client_fate == "reset");
  CHECK(sessions.server_fate == "reset");
  CHECK(log.has(" ending=idle "));
}

TEST_CASE("bytes of the client go to a server leg at once, and its refusal resets the client") {
  Sessions sessions;
  sessions.open();
  sessions.client->send("early");
  CHECK(sessions.server->got() == "early");
  sessions.server->fail(ECONNREFUSED);
  CHECK(sessions.client_fate == "reset");
}

TEST_CASE("a client leg is told when its server has been reached") {
  const ListeningSocket closed(0);
  const ListeningSocket server;
  Sessions sessions;
  sessions.route.fin.crosses = core::Crosses::none;
  sessions.dial({server.address, closed.address});
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
  const LogCapture log;
  sessions.dial({server.address});
  sessions.run();
  CHECK(sessions.client_fate == "server-refused");
  CHECK(log.has(("server=" + server.address.text() + " error=").c_str()));
  CHECK(log.has(" ending=server-refused "));
}

TEST_CASE("a client leg whose server is still dialed is told that finhold stops") {
  const ListeningSocket closed(0);  // it takes a turn to learn that
  Sessions sessions;
  sessions.dial({closed.address});
  sessions.cut();
  CHECK(sessions.client_fate == "drain-limit");
  sessions.run();
}

TEST_CASE("a client leg that fails while its server is dialed is reset, and not told anything") {
  const ListeningSocket closed(0);
  Sessions sessions;
  const LogCapture log;
  sessions.dial({closed.address});
  sessions.client->fail(core::Ending::tunnel_lost);
  CHECK(sessions.client_fate == "reset");
  CHECK(log.has(" ending=tunnel-lost "));
  sessions.run();
}

TEST_CASE("R4: what a client sent before it failed, while its server was dialed, is delivered") {
  const ListeningSocket closed(0);
  const ListeningSocket server;
  Sessions sessions;
  sessions.dial({server.address, closed.address});
  sessions.client->send("early");
  sessions.client->fail(ECONNRESET);
  CHECK(sessions.client_fate != "reset");
  const net::Descriptor accepted(accept(server.fd.get(), nullptr, nullptr));
  sessions.run();
  std::string got(100, ' ');
  REQUIRE(recv(accepted.get(), got.data(), got.size(), 0) == 5);
  CHECK(got.substr(0, 5) == "early");
  const bool reset = recv(accepted.get(), got.data(), got.size(), 0) == -1 && errno == ECONNRESET;
  CHECK(reset);
}

TEST_CASE("a leg may know more than an errno says of how a session ends") {
  Sessions sessions;
  const LogCapture log;
  sessions.open();
  sessions.server->fail(core::Ending::not_allowed);
  CHECK(sessions.client_fate == "reset");
  CHECK(log.has(" ending=not-allowed "));
  sessions.run();
}

TEST_CASE("the ending line of a client that came by a tunnel names the near end, last") {
  const ListeningSocket closed(0);
  const ListeningSocket server;
  Sessions sessions;
  const LogCapture log;
  sessions.dial({server.address, closed.address});
  sessions.client->fail(ECONNRESET);
  sessions.run();
  CHECK(log.has(" client=192.0.2.1:1111 "));
  CHECK(log.has((" server=" + server.address.text() + " ").c_str()));
  CHECK(log.has("s near=198.51.100.4:4444\n"));
}

}  // namespace finhold::tests
