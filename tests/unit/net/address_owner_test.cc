// tests/integration/pair/test_pair_door.py has routes and rules of its own to ask for.
#include "net/address_owner.h"

#include <vector>

#include <doctest/doctest.h>

using finhold::base::Address;
using finhold::net::AddressOwner;
using finhold::net::owners_of;

TEST_CASE("the kernel says whose an address is") {
  const std::vector<Address> asked{Address::parse("127.0.0.1:0").value(),
                                   Address::parse("192.0.2.1:7").value(),
                                   Address::parse("127.255.0.1:80").value()};
  const auto owners = owners_of(asked, 0);
  REQUIRE(owners.ok());
  CHECK(owners.value() ==
        std::vector{AddressOwner::this_host, AddressOwner::other_host, AddressOwner::this_host});
}
