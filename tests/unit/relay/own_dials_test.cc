// Finhold's own connections, as it knows them by their ports.
#include "relay/own_dials.h"

#include <memory>

#include <doctest/doctest.h>

namespace finhold::tests {

using base::Address;
using relay::OwnDials;

namespace {

Address address(const char* text) { return Address::parse(text).value(); }

const Address ours = address("192.0.2.1:40000");
const Address one = address("198.51.100.1:514");
const Address two = address("198.51.100.2:514");

}  // namespace

TEST_CASE("a connection of ours is known by both its addresses, until it is over") {
  const auto dials = std::make_unique<OwnDials>();
  CHECK_FALSE(dials->contains(ours, one));
  const auto entry = dials->add(ours, one);
  CHECK(dials->contains(ours, one));
  CHECK_FALSE(dials->contains(ours, two));
  CHECK_FALSE(dials->contains(address("192.0.2.7:40000"), one));
  dials->remove(entry);
  CHECK_FALSE(dials->contains(ours, one));
}

TEST_CASE("two connections may come from one port: the end of the first leaves the second") {
  const auto dials = std::make_unique<OwnDials>();
  const auto first = dials->add(ours, one);
  const auto second = dials->add(ours, two);
  dials->remove(first);
  CHECK(dials->contains(ours, two));
  dials->remove(second);
  CHECK_FALSE(dials->contains(ours, two));
  dials->remove({});
}

}  // namespace finhold::tests
