// Legs that are streams: near and far joined in memory, each with a leg at its end of one tunnel.
#include "tunnel/stream_leg.h"

#include <cerrno>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

#include "tunnel/far_leg.h"
#include "unit/http2/endpoint_pair.h"

using namespace http2_pair;

namespace finhold::tests {

using base::Side;
using core::Ending;
using tunnel::FarLeg;
using tunnel::StreamLeg;
using What = relay::Leg::Read::What;

namespace {

// The connection of one end.
struct Wire final : tunnel::Transport {
  virtual ~Wire() = default;
  void touch() override { ++touched; }
  [[nodiscard]] bool lost() const override { return is_lost; }
  void tell_later(tunnel::ResetQueue::Entry& leg) override { resets.add(leg, 0); }
  tunnel::ResetQueue resets;
  int touched = 0;
  bool is_lost = false;
};

struct Watch final : relay::Leg::Owner {
  virtual ~Watch() = default;
  void on_leg_ready(Side /*side*/) override { ++told; }
  int told = 0;
};

// A leg without the near end's waiting.
class OpenedLeg final : public StreamLeg {
 public:
  OpenedLeg(Wire& wire, http2_pair::Side& side) {
    carry(wire, *side.http2.open({"a.example:514", "", ""}, *this));
  }
  using StreamLeg::open_way_in;
  std::optional<int> answer;

 private:
  void on_answer(int status) override { answer = status; }
};

// Both legs of a tunnel that stands; the client's is the near one's.
struct Legs {
  explicit Legs(std::size_t window = Endpoint::least_window) : pair({}, window) {
    pair.far.answers.reset();
    near.emplace(near_wire, pair.near);
    near->attach(near_watch, Side::server);
    near->open_way_in();
    pair.exchange();
    far.emplace(far_wire, *pair.far.ends.at(0)->stream);
    far->attach(far_watch, Side::client);
    far->accept();
    pair.exchange();
  }

  // The connection is lost: each end finds out by itself.
  void lose() {
    near_wire.is_lost = far_wire.is_lost = true;
    pair.near.http2.lose();
    pair.far.http2.lose();
  }

  Pair pair;
  Wire near_wire;
  Wire far_wire;
  Watch near_watch;
  Watch far_watch;
  std::optional<OpenedLeg> near;
  std::optional<FarLeg> far;
};

// What a leg gives now: its bytes, then "." for the end, "!" for a failure.
std::string read(StreamLeg& leg) {
  std::string text;
  std::vector<std::byte> room(1000);
  while (leg.readable()) {
    const auto got = leg.read(room);
    text.append(reinterpret_cast<const char*>(room.data()), got.count);
    if (got.what == What::end) text += '.';
    if (got.what == What::failed) text += '!';
  }
  return text;
}

std::size_t write(StreamLeg& leg, std::string_view text) {
  return leg.write(std::as_bytes(std::span(text)), false);
}

}  // namespace

TEST_CASE("stream leg: bytes and ends go both ways, and both legs close in order") {
  Legs legs;
  CHECK(legs.near->answer == 200);
  CHECK(write(*legs.near, "question") == 8);
  legs.near->send_fin();
  CHECK(legs.near->undelivered() == 8);
  CHECK(legs.near->unacknowledged() == 9);  // with the end
  CHECK_FALSE(legs.near->delivered());
  legs.pair.exchange();
  CHECK(legs.near->unacknowledged() == 0);
  CHECK(legs.near->delivered());
  CHECK(read(*legs.far) == "question.");
  CHECK(legs.far->ended());
  CHECK(read(*legs.near).empty());

  CHECK(write(*legs.far, "answer") == 6);
  legs.far->send_fin();
  // It stays open while the answer is not on its way.
  CHECK_FALSE(legs.far->close_in_order(false));
  CHECK(legs.far->is_open());
  const int told = legs.far_watch.told;
  legs.pair.exchange();
  CHECK(legs.far_watch.told > told);
  CHECK(legs.far->close_in_order(false));
  CHECK_FALSE(legs.far->is_open());
  CHECK(read(*legs.near) == "answer.");
  CHECK(legs.near->close_in_order(false));
  legs.pair.exchange();
  CHECK(legs.pair.near.http2.streams() == 0);
  CHECK(legs.pair.far.http2.streams() == 0);
  CHECK(summary(legs.pair.to_far).find("RST_STREAM") == std::string::npos);
  CHECK(summary(legs.pair.to_near).find("RST_STREAM") == std::string::npos);
}

TEST_CASE("stream leg: an end alone, and the last end with the close") {
  Legs legs;
  legs.near->send_fin();
  legs.pair.exchange();
  CHECK(read(*legs.far) == ".");
  CHECK(legs.far->close_in_order(false));  // nothing waits but the end itself
  legs.pair.exchange();
  CHECK(read(*legs.near) == ".");
  CHECK(legs.near->failed() == 0);
  CHECK(legs.near->close_in_order(false));
}

TEST_CASE("stream leg: a leg that closes while its bytes wait sends them all") {
  Legs legs;
  const std::string much = pattern(60'000);
  legs.near->send_fin();
  legs.pair.exchange();
  CHECK(read(*legs.far) == ".");
  CHECK(write(*legs.far, much) == much.size());
  CHECK_FALSE(legs.far->close_in_order(false));
  legs.far->close_now();  // as when finhold stops
  legs.pair.exchange();
  CHECK(read(*legs.near) == much + ".");
}

TEST_CASE("stream leg: a slow reader stops the writer, and room is told") {
  Legs legs;
  const std::string much = pattern(200'000);
  std::string_view left = much;
  while (legs.near->writable()) {
    left.remove_prefix(write(*legs.near, left));
    legs.pair.exchange();
  }
  // What the far end keeps, and what the near end does.
  CHECK(much.size() - left.size() <= 2 * Endpoint::least_window);
  std::string got;
  while (got.size() < much.size()) {
    const int touched = legs.far_wire.touched;
    got += read(*legs.far);
    CHECK(legs.far_wire.touched > touched);  // so that the window goes back
    legs.pair.exchange();
    if (!left.empty() && legs.near->writable()) left.remove_prefix(write(*legs.near, left));
    legs.pair.exchange();
  }
  CHECK(got == much);
}

TEST_CASE("stream leg: a reset arrives as one, either way, after the bytes before it") {
  for (const bool from_near : {true, false}) {
    Legs legs;
    StreamLeg& from = from_near ? static_cast<StreamLeg&>(*legs.near) : *legs.far;
    StreamLeg& to = from_near ? static_cast<StreamLeg&>(*legs.far) : *legs.near;
    const Side side = from_near ? Side::client : Side::server;
    write(from, "half of");
    from.reset();
    CHECK_FALSE(from.is_open());
    legs.pair.exchange();
    CHECK(summary(from_near ? legs.pair.to_far : legs.pair.to_near).ends_with("RST_STREAM 0/1"));
    CHECK(to.failed() == ECONNRESET);
    CHECK(to.ending_of_failure(side) == (from_near ? Ending::client_reset : Ending::server_reset));
    CHECK_FALSE(to.delivered());
    CHECK(read(to) == "half of!");
    CHECK_FALSE(to.ended());
    to.reset();
    legs.pair.exchange();
    CHECK(legs.pair.near.http2.streams() == 0);
    CHECK(legs.pair.far.http2.streams() == 0);
  }
}

TEST_CASE(
    "stream leg: R4: a reset after the end is one, and the end too, also if nobody has read it") {
  Legs legs;
  write(*legs.far, "all");
  legs.far->send_fin();
  legs.pair.exchange();
  legs.far->reset();
  legs.pair.exchange();
  CHECK(legs.near->failed() == ECONNRESET);
  CHECK(legs.near->end_arrived());
  CHECK(read(*legs.near) == "all.");
}

TEST_CASE("stream leg: the other side has ended and takes nothing more") {
  Legs legs;
  write(*legs.far, "whole answer");
  legs.far->send_fin();
  legs.pair.exchange();
  // As RFC 9113 section 8.1 lets a server do.
  static_cast<void>(legs.pair.near.feed(frame(RST_STREAM, 0, 1, number(0))));
  CHECK(legs.near->failed() == 0);
  SUBCASE("what has arrived and its end are still read, however late, and our end is enough") {
    CHECK(read(*legs.near) == "whole answer.");
    legs.near->send_fin();
    CHECK(legs.near->close_in_order(false));
  }
  SUBCASE("what is written then is as to a closed connection") {
    CHECK(legs.near->writable());
    CHECK(write(*legs.near, "more") == 0);
    CHECK(legs.near->failed() == EPIPE);
    CHECK(legs.near->ending_of_failure(Side::server) == Ending::server_reset);
    CHECK(read(*legs.near) == "whole answer.");
  }
}

TEST_CASE("stream leg: the other side has ended and takes nothing more, and bytes wait for it") {
  for (const bool ours : {true, false}) {
    for (const bool was_read : {true, false}) {
      Legs legs;
      const std::string text = pattern(100'000);
      CHECK(write(*legs.near, text) == Endpoint::least_window);
      legs.pair.exchange();
      CHECK(write(*legs.near, std::string_view(text).substr(Endpoint::least_window)) > 0);
      if (ours) legs.near->send_fin();
      write(*legs.far, "whole answer");
      legs.far->send_fin();
      legs.pair.exchange();
      CHECK(legs.near->unacknowledged() > 0);
      if (was_read) CHECK(read(*legs.near) == "whole answer.");
      CHECK(legs.near->failed() == 0);
      static_cast<void>(legs.pair.near.feed(frame(RST_STREAM, 0, 1, number(0))));
      CHECK_FALSE(legs.near->delivered());
      if (!was_read) CHECK(legs.near->failed() == 0);
      if (!was_read) CHECK(read(*legs.near) == "whole answer.");
      CHECK(legs.near->failed() == EPIPE);
      CHECK(legs.near->ending_of_failure(Side::server) == Ending::server_reset);
      CHECK_FALSE(legs.near->readable());
      CHECK(legs.near->close_in_order(false));
    }
  }
}

TEST_CASE("stream leg: without an end RST_STREAM(NO_ERROR) is a reset") {
  Legs legs;
  write(*legs.far, "half");
  legs.pair.exchange();
  static_cast<void>(legs.pair.near.feed(frame(RST_STREAM, 0, 1, number(0))));
  CHECK(legs.near->failed() == ECONNRESET);
  CHECK(read(*legs.near) == "half!");
}

TEST_CASE("stream leg: a lost connection is a failure of its own, after what had arrived") {
  Legs legs;
  write(*legs.near, "up");
  write(*legs.far, "down");
  legs.pair.exchange();
  bool ended = false;
  SUBCASE("both ways open") {}
  SUBCASE("after one end") {
    legs.near->send_fin();
    legs.pair.exchange();
    ended = true;
  }
  legs.lose();
  CHECK(legs.near->failed() == ECONNRESET);
  CHECK(legs.near->ending_of_failure(Side::server) == Ending::tunnel_lost);
  CHECK(read(*legs.near) == "down!");
  CHECK(legs.far->ending_of_failure(Side::client) == Ending::tunnel_lost);
  CHECK(read(*legs.far) == (ended ? "up." : "up!"));
}

TEST_CASE("stream leg: what ended both ways before the connection was lost is whole") {
  Legs legs;
  write(*legs.far, "answer");
  legs.far->send_fin();
  legs.near->send_fin();
  legs.pair.exchange();
  legs.lose();
  CHECK(legs.near->failed() == 0);
  CHECK(read(*legs.near) == "answer.");
  CHECK(legs.near->close_in_order(false));
}

TEST_CASE("stream leg: a GOAWAY that overtakes the request is a loss") {
  Legs legs;
  static_cast<void>(legs.pair.near.feed(frame(GOAWAY, 0, 0, number(0) + number(0))));
  CHECK(legs.near->failed() == ECONNRESET);
  CHECK(legs.near->ending_of_failure(Side::server) == Ending::tunnel_lost);
}

TEST_CASE(
    "stream leg: its owner is told of a reset later, once, and not if the leg closes before") {
  Legs legs;
  const int told = legs.near_watch.told;
  SUBCASE("told") {
    legs.lose();
    CHECK(legs.near->failed() == ECONNRESET);
    CHECK(legs.near_watch.told == told);
    legs.near_wire.resets.tell_some();
    CHECK(legs.near_watch.told == told + 1);
  }
  SUBCASE("closed") {
    legs.lose();
    legs.near->reset();
  }
  SUBCASE("destroyed") {
    legs.lose();
    legs.near.reset();
  }
  CHECK(legs.near_wire.resets.empty());
  legs.near_wire.resets.tell_some();
  CHECK(legs.near_watch.told <= told + 1);
}

TEST_CASE("stream leg: one that is destroyed without an order to close is reset") {
  Legs legs;
  legs.near.reset();
  legs.pair.exchange();
  CHECK(legs.far->failed() == ECONNRESET);
  CHECK(legs.far->ending_of_failure(Side::client) == Ending::client_reset);
}

TEST_CASE("stream leg: optimistic bytes and end wait for the far leg's reader") {
  Pair pair;
  pair.far.answers.reset();
  pair.far.reads = false;
  Wire wire;
  OpenedLeg near(wire, pair.near);
  near.open_way_in();
  write(near, "early");
  near.send_fin();
  pair.exchange();
  FarLeg far(wire, *pair.far.ends.at(0)->stream);
  CHECK(far.readable());
  CHECK(read(far) == "early.");
  CHECK_FALSE(near.answer);
  far.accept();
  pair.exchange();
  CHECK(near.answer == 200);
}

TEST_CASE("stream leg: without optimism the end waits too") {
  Pair pair;
  pair.far.answers.reset();
  Wire wire;
  OpenedLeg near(wire, pair.near);
  CHECK_FALSE(near.writable());
  CHECK(write(near, "early") == 0);
  near.send_fin();
  pair.exchange();
  FarLeg far(wire, *pair.far.ends.at(0)->stream);
  CHECK_FALSE(far.readable());
  near.open_way_in();
  pair.exchange();
  CHECK(read(far) == ".");
}

TEST_CASE("far leg: a server that is not reached is an answer") {
  const std::vector<std::pair<Ending, int>> answers = {
      {Ending::server_refused, 502},    {Ending::server_unreachable, 502},
      {Ending::server_unresolved, 502}, {Ending::server_timeout, 504},
      {Ending::local_error, 503},
  };
  for (const auto& [why, status] : answers) {
    Pair pair;
    pair.far.answers.reset();
    Wire wire;
    OpenedLeg near(wire, pair.near);
    near.open_way_in();
    write(near, "early");
    pair.exchange();
    FarLeg far(wire, *pair.far.ends.at(0)->stream);
    far.refuse(why);
    CHECK_FALSE(far.is_open());
    far.reset();  // as the session does then
    pair.exchange();
    CHECK(near.answer == status);
    CHECK(summary(pair.to_near).ends_with("HEADERS 5/1 RST_STREAM 0/1"));
    CHECK(pair.far.http2.streams() == 0);
  }
}

}  // namespace finhold::tests
