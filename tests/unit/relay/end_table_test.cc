// What is known of many servers, in bounds.
#include "relay/end_table.h"

#include <string>

#include <doctest/doctest.h>

namespace finhold::relay {

using base::Flow;
using core::EndLesson;

TEST_CASE("end table: each server of a route, and each direction, by itself") {
  EndTable table;
  for (int i = 0; i < 2; ++i) table.learn("a", "10.0.0.1:1", Flow::to_server, EndLesson::waited);
  CHECK(table.needs("a", "10.0.0.1:1", Flow::to_server).waits());
  CHECK_FALSE(table.needs("a", "10.0.0.1:1", Flow::to_client).waits());
  CHECK_FALSE(table.needs("a", "10.0.0.1:2", Flow::to_server).waits());
  CHECK_FALSE(table.needs("b", "10.0.0.1:1", Flow::to_server).waits());
  CHECK(table.size() == 1);  // a question leaves nothing
  CHECK(table.learn("a", "10.0.0.1:1", Flow::to_server, EndLesson::talked_on).talks_on());
  CHECK_FALSE(table.needs("a", "10.0.0.1:1", Flow::to_server).waits());
}

TEST_CASE("end table: it is bounded, and what was used longest ago goes") {
  EndTable table;
  const auto server = [](std::size_t i) { return "10.0.0.1:" + std::to_string(i); };
  const auto talks_on = [&](std::size_t i) {
    return table.needs("a", server(i), Flow::to_client).talks_on();
  };
  for (std::size_t i = 0; i < EndTable::most; ++i) {
    table.learn("a", server(i), Flow::to_client, EndLesson::talked_on);
  }
  CHECK(talks_on(0));  // which uses it
  table.learn("a", server(EndTable::most), Flow::to_client, EndLesson::talked_on);
  CHECK(table.size() == EndTable::most);
  CHECK(talks_on(0));
  CHECK_FALSE(talks_on(1));
  CHECK(talks_on(2));
  CHECK(talks_on(EndTable::most));
}

}  // namespace finhold::relay
