#include "net/poller.h"

#include <string>

#include <doctest/doctest.h>

namespace finhold::tests {

namespace {

// Notes each turn, and says for the first `busy` ones that there is more to do.
class Note final : public net::TurnEnd {
 public:
  Note(char name, int busy, std::string& notes, net::Poller* stops = nullptr)
      : name_(name), busy_(busy), notes_(notes), stops_(stops) {}

 private:
  bool turn_end() override {
    notes_ += name_;
    if (busy_ == 0 && stops_ != nullptr) stops_->stop();
    return busy_-- > 0;
  }

  char name_;
  int busy_;
  std::string& notes_;
  net::Poller* stops_;
};

}  // namespace

TEST_CASE("each turn ends with all who want it, in their order, and none waits while one is busy") {
  net::Loop loop;
  net::Poller poller(loop);
  std::string notes;
  // Nothing ever happens here: a poller that waited would wait for ever.
  Note first('1', 3, notes, &poller);
  Note second('2', 1, notes);
  Note third('3', 0, notes);
  poller.add_turn_end(first);
  poller.add_turn_end(second);
  poller.add_turn_end(third);
  SUBCASE("the first one is busy, and stops the poller") {
    poller.run();
    CHECK(notes == "123123123123");
  }
  SUBCASE("one that is removed is not asked") {
    poller.remove_turn_end(second);
    poller.run();
    CHECK(notes == "13131313");
  }
  SUBCASE("only the last one is busy") {
    poller.remove_turn_end(first);
    poller.remove_turn_end(second);
    poller.remove_turn_end(third);
    Note idle('0', 0, notes);
    Note busy('9', 2, notes, &poller);
    poller.add_turn_end(idle);
    poller.add_turn_end(busy);
    poller.run();
    CHECK(notes == "090909");
  }
}

}  // namespace finhold::tests
