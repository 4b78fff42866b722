#include "relay/client_counts.h"

#include <string>

#include <doctest/doctest.h>

#include "relay/route_quota.h"

using finhold::base::Address;
using finhold::base::Network;
using finhold::relay::ClientRates;
using finhold::relay::ClientSessions;

namespace {

Network client(unsigned number) {
  const auto address = Address::parse("[2001:db8:" + std::to_string(number / 10'000) + ":" +
                                      std::to_string(number % 10'000) + "::1]:1");
  return Network::around(address.value(), 64);
}

// Tokens that it gets at that moment, up to 1000.
int tokens(ClientRates& rates, const Network& client, std::uint32_t per_second, std::uint64_t now) {
  int count = 0;
  while (count < 1000 && rates.take(client, per_second, now)) ++count;
  return count;
}

}  // namespace

TEST_CASE("a client has so many sessions, and another its own") {
  ClientSessions sessions;
  CHECK(sessions.take(client(1), 2));
  CHECK(sessions.take(client(1), 2));
  CHECK_FALSE(sessions.take(client(1), 2));
  CHECK(sessions.take(client(2), 2));
  sessions.give_back(client(1));
  CHECK(sessions.take(client(1), 2));
  CHECK_FALSE(sessions.take(client(1), 2));
}

TEST_CASE("sessions without a limit count when there is one") {
  ClientSessions sessions;
  for (int i = 0; i < 3; ++i) CHECK(sessions.take(client(1), 0));
  CHECK_FALSE(sessions.take(client(1), 3));
  CHECK(sessions.take(client(1), 4));
}

TEST_CASE("who has no session is not remembered, refused or not") {
  ClientSessions sessions;
  for (unsigned i = 0; i < 1000; ++i) CHECK(sessions.take(client(i), 1));
  for (unsigned i = 0; i < 1000; ++i) CHECK_FALSE(sessions.take(client(i), 1));
  CHECK(sessions.clients() == 1000);
  for (unsigned i = 0; i < 1000; ++i) sessions.give_back(client(i));
  CHECK(sessions.clients() == 0);
}

TEST_CASE("a bucket gives ten seconds' worth at once, then what the time brings") {
  ClientRates rates;
  CHECK(tokens(rates, client(1), 5, 1'000'000) == 50);
  CHECK(tokens(rates, client(1), 5, 1'000'199) == 0);
  CHECK(tokens(rates, client(1), 5, 1'000'200) == 1);
  CHECK(tokens(rates, client(1), 5, 1'001'200) == 5);
  CHECK(tokens(rates, client(2), 5, 1'001'200) == 50);  // its own
  CHECK(tokens(rates, client(1), 5, 1'011'200) == 50);  // full again, and no more than that
  CHECK(tokens(rates, client(1), 5, 9'011'200) == 50);
}

TEST_CASE("a rate that is changed holds from then on, at once") {
  ClientRates rates;
  CHECK(tokens(rates, client(1), 1, 1'000'000) == 10);
  CHECK(tokens(rates, client(1), 100, 1'000'000) == 0);
  CHECK(tokens(rates, client(1), 100, 1'001'000) == 100);
}

TEST_CASE("however many clients there are, one that floods gets no more") {
  ClientRates rates;
  CHECK(tokens(rates, client(0), 1, 1'000'000) == 10);
  for (unsigned i = 1; i < 200'000; ++i) REQUIRE(rates.take(client(i), 1, 1'000'001));
  CHECK(tokens(rates, client(0), 1, 1'000'002) == 0);
}

TEST_CASE("what is known of a route is kept under its name") {
  finhold::relay::RouteQuotas quotas;
  quotas.of("a").take();
  CHECK(quotas.of("a").room(2));
  CHECK_FALSE(quotas.of("a").room(1));
  CHECK(quotas.of("a").room(0));  // no limit
  CHECK(quotas.of("b").room(1));
  quotas.of("a").give_back();
  CHECK(quotas.of("a").room(1));
}
