// Which near end gives way. tests/integration/pair/test_pair_strangers.py has real ones.
#include "tunnel/strangers.h"

#include <memory>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "tunnel/far_connection.h"

namespace finhold::tunnel {
namespace {

struct Owner final : FarConnection::Owner {
  void on_near_end_ready(FarConnection& /*near_end*/) override {}
  void on_request(FarAsker /*asker*/, const finhold::http2::ConnectRequest& /*request*/) override {}
  void on_malformed_request(const FarConnection& /*near_end*/, std::string_view /*authority*/,
                            int /*status*/) override {}
  void on_near_end_proven(FarConnection& near_end) override { strangers.remove(near_end); }
  void on_near_end_gone(FarConnection& /*near_end*/, const std::string& /*why*/) override {}

  FarConnection& come(const std::string& address, net::Instant now) {
    all.push_back(std::make_unique<FarConnection>(static_cast<FarConnection::Owner&>(*this),
                                                  base::Address::parse(address).value(), now));
    strangers.add(*all.back());
    return *all.back();
  }

  Strangers strangers;
  std::vector<std::unique_ptr<FarConnection>> all;
};

std::string address(int host) {
  return "10." + std::to_string(host / 65536) + "." + std::to_string(host / 256 % 256) + "." +
         std::to_string(host % 256) + ":1";
}

}  // namespace

TEST_CASE("strangers: nobody gives way before his time, and who has proven himself never") {
  Owner owner;
  CHECK(owner.strangers.that_gives_way(2, 5000) == nullptr);
  FarConnection& first = owner.come("10.0.0.1:1", 1000);
  FarConnection& second = owner.come("10.0.0.2:1", 1500);
  CHECK(owner.strangers.that_gives_way(2, 1999) == nullptr);
  CHECK(owner.strangers.that_gives_way(2, 2000) == &first);
  first.prove();
  first.prove();
  CHECK(owner.strangers.that_gives_way(2, 2499) == nullptr);
  CHECK(owner.strangers.that_gives_way(2, 2500) == &second);
  owner.strangers.remove(second);
  owner.strangers.remove(second);
  CHECK(owner.strangers.that_gives_way(2, 9999) == nullptr);
}

TEST_CASE("strangers: of an address that has more than a quarter of the places one goes at once") {
  Owner owner;
  for (int i = 0; i < 10; ++i) owner.come(address(i), 1000);
  for (int i = 0; i < 25; ++i) owner.come("192.0.2.7:" + std::to_string(i + 1), 1000);
  CHECK(owner.strangers.that_gives_way(100, 1000) == nullptr);
  FarConnection& first_of_many = *owner.all[10];
  owner.come("192.0.2.7:99", 1000);
  CHECK(owner.strangers.that_gives_way(100, 1000) == &first_of_many);
  CHECK(owner.strangers.that_gives_way(104, 1000) == nullptr);
  // An IPv6 network of 56 bits is one address; and few are never many.
  for (int i = 0; i < 30; ++i) {
    owner.come("[2001:db8:0:" + std::to_string(i + 1) + "::1]:1", 1000);
  }
  FarConnection* const gives_way = owner.strangers.that_gives_way(100, 1000);
  REQUIRE(gives_way != nullptr);
  CHECK(gives_way->address().text().starts_with("[2001:db8:0:1::1]"));
  Owner few;
  for (int i = 0; i < 16; ++i) few.come("192.0.2.7:" + std::to_string(i + 1), 1000);
  CHECK(few.strangers.that_gives_way(16, 1000) == nullptr);
}

TEST_CASE("strangers: among thousands who have proven themselves the few strangers are found") {
  Owner owner;
  for (int i = 0; i < 5000; ++i) owner.come(address(i), 1000);
  for (const auto& each : owner.all) {
    if (each->address().port() == 1 && each.get() != owner.all[4000].get()) each->prove();
  }
  for (int again = 0; again < 3; ++again) {
    CHECK(owner.strangers.that_gives_way(5000, 2000) == owner.all[4000].get());
  }
}

}  // namespace finhold::tunnel
