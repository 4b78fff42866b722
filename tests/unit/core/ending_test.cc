#include "core/ending.h"

#include <cerrno>
#include <set>
#include <string>

#include <doctest/doctest.h>

namespace finhold::tests {

using core::Ending;

TEST_CASE("each ending has a word of its own") {
  std::set<std::string> words;
  const auto count = static_cast<unsigned>(Ending::local_error) + 1;
  for (unsigned i = 0; i < count; ++i) words.insert(core::name(static_cast<Ending>(i)));
  CHECK(words.size() == count);
  CHECK(words.count("") == 0);
  CHECK(core::name(Ending::not_allowed) == std::string("not-allowed"));
  CHECK(core::name(Ending::far_busy) == std::string("far-busy"));
  CHECK(core::name(Ending::tunnel_lost) == std::string("tunnel-lost"));
  CHECK(core::name(Ending::no_tunnel) == std::string("no-tunnel"));
}

TEST_CASE("a leg that no longer answers has vanished, any other that failed was reset") {
  CHECK(core::ending_of_failed_leg(base::Side::client, ETIMEDOUT) == Ending::client_vanished);
  CHECK(core::ending_of_failed_leg(base::Side::server, EHOSTUNREACH) == Ending::server_vanished);
  CHECK(core::ending_of_failed_leg(base::Side::client, ECONNRESET) == Ending::client_reset);
  CHECK(core::ending_of_failed_leg(base::Side::server, EPIPE) == Ending::server_reset);
}

TEST_CASE("a dial that failed for want of something of our own is no server's fault") {
  CHECK(core::ending_of_failed_dial({ECONNREFUSED, "connect"}) == Ending::server_refused);
  CHECK(core::ending_of_failed_dial({ETIMEDOUT, "connect"}) == Ending::server_timeout);
  CHECK(core::ending_of_failed_dial({EHOSTUNREACH, "connect"}) == Ending::server_unreachable);
  CHECK(core::ending_of_failed_dial({EMFILE, "socket"}) == Ending::local_error);
  CHECK(core::ending_of_failed_dial({EACCES, "bind"}) == Ending::local_error);
}

}  // namespace finhold::tests
