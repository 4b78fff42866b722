#include "net/own_addresses.h"

#include <algorithm>

#include <doctest/doctest.h>

TEST_CASE("the addresses of this host are without ports") {
  const auto own = finhold::net::own_addresses();
  REQUIRE(own.ok());
  for (const auto& address : own.value()) CHECK(address.port() == 0);
  const auto loopback = finhold::base::Address::parse("127.0.0.1:0").value();
  CHECK(std::find(own.value().begin(), own.value().end(), loopback) != own.value().end());
}
