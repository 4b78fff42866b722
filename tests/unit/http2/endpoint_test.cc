// Near and far joined in memory: tunnels, their ends and resets, flow control, GOAWAY and PING.
#include "http2/endpoint.h"

#include <random>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "unit/http2/endpoint_pair.h"

using namespace http2_pair;

namespace {

const ConnectRequest to_a = {"a.example:514", "", ""};

// A pair with one tunnel that stands.
struct Tunnel : Pair {
  End& client;
  explicit Tunnel(const Settings& settings = {}, std::size_t window = Endpoint::least_window)
      : Pair(settings, window), client(near.open(to_a)) {
    exchange();
  }
  End& server() { return *far.ends.at(0); }
};

// Writes all of it, as fast as the other end reads.
void send_all(Pair& pair, const End& from, std::string_view text) {
  for (int stuck = 0; !text.empty() && stuck < 3;) {
    const std::size_t count = from.write(text);
    text.remove_prefix(count);
    stuck = count > 0 ? 0 : stuck + 1;
    pair.exchange();
  }
  CHECK(text.empty());
}

std::size_t largest_data(std::string_view wire) {
  std::size_t largest = 0;
  for (const auto& one : frames(wire)) {
    if (one.type == DATA) largest = std::max(largest, one.payload.size());
  }
  return largest;
}

}  // namespace

TEST_CASE("http2: bytes pass both ways, and each way ends by itself, however they are cut") {
  std::minstd_rand random(4711);  // NOLINT(cert-msc*): the same each time
  std::uniform_int_distribution<std::size_t> sizes(1, 3000);
  const std::vector<Chunks> cuts = {
      [] { return std::size_t{1}; },
      [] { return std::size_t{7}; },
      [&] { return sizes(random); },
      [] { return std::size_t{0}; },
  };
  for (const auto& cut : cuts) {
    Tunnel tunnel;
    tunnel.chunks = cut;
    const std::string up = pattern(200'000, 1);
    const std::string down = pattern(150'000, 2);
    send_all(tunnel, tunnel.client, up);
    CHECK_FALSE(tunnel.server().ended);
    tunnel.client.stream->finish();
    tunnel.exchange();
    CHECK(tunnel.server().told == "bytes, end");
    CHECK(tunnel.server().received == up);
    CHECK(tunnel.client.told == "answer 200");

    // The way back is open as long as it likes.
    send_all(tunnel, tunnel.server(), down);
    tunnel.server().stream->finish();
    tunnel.exchange();
    CHECK(tunnel.client.received == down);
    CHECK(tunnel.client.told == "answer 200, bytes, end");
    tunnel.client.stream->forget();
    tunnel.server().stream->forget();
    CHECK(tunnel.near.http2.streams() == 0);
    CHECK(tunnel.far.http2.streams() == 0);
    CHECK(tunnel.near.http2.failed().empty());
    CHECK(tunnel.far.http2.failed().empty());
  }
}

TEST_CASE("http2: the server's end first, then the client goes on") {
  Tunnel tunnel;
  CHECK(tunnel.server().write("hello") == 5);
  tunnel.server().stream->finish();
  tunnel.exchange();
  CHECK(tunnel.client.told == "answer 200, bytes, end");
  const std::string up = pattern(300'000);
  send_all(tunnel, tunnel.client, up);
  tunnel.client.stream->finish();
  tunnel.exchange();
  CHECK(tunnel.server().received == up);
  CHECK(tunnel.server().told == "bytes, end");
}

TEST_CASE("http2: an end rides on the last bytes, or is an empty frame") {
  Tunnel tunnel;
  tunnel.to_far.clear();
  tunnel.client.write("last");
  tunnel.client.stream->finish();
  tunnel.exchange();
  CHECK(summary(tunnel.to_far) == "DATA 1/1");
  CHECK(frames(tunnel.to_far).at(0).payload == "last");

  tunnel.to_near.clear();
  tunnel.server().stream->finish();
  tunnel.exchange();
  CHECK(summary(tunnel.to_near) == "DATA 1/1");
  CHECK(frames(tunnel.to_near).at(0).payload.empty());
}

TEST_CASE("http2: an end without a byte") {
  Pair pair;
  End& client = pair.near.open(to_a);
  client.stream->finish();
  pair.exchange();
  CHECK(pair.far.ends.at(0)->told == "end");
  pair.far.ends.at(0)->stream->finish();
  pair.exchange();
  CHECK(client.told == "answer 200, end");
}

TEST_CASE("http2: a request carries the authority, the client and the token, and no path") {
  Pair pair;
  pair.near.open({"[2001:db8::1]:514", R"(for="[2001:db8::7]:4711")", "se-cret"});
  pair.near.open(to_a);
  pair.exchange();
  CHECK(pair.far.told ==
        R"(connect [2001:db8::1]:514|for="[2001:db8::7]:4711"|se-cret, connect a.example:514||)");
}

TEST_CASE("http2: optimistic bytes and end arrive with the request, in one flight") {
  Pair pair;
  pair.far.answers.reset();
  End& client = pair.near.open(to_a);
  client.write("GET ");
  client.write("it");
  client.stream->finish();
  const std::string flight = pair.near.sends();
  CHECK(summary(flight) == "HEADERS 4/1 DATA 1/1");
  CHECK(pair.far.feed(flight));
  CHECK(pair.far.ends.at(0)->told == "bytes, end");
  CHECK(pair.far.ends.at(0)->received == "GET it");
  CHECK(client.told.empty());
  pair.far.ends.at(0)->stream->respond(200);
  pair.far.ends.at(0)->write("that");
  pair.exchange();
  CHECK(client.told == "answer 200, bytes");
}

TEST_CASE("http2: a refusal is an answer, and drops what was sent") {
  for (const int status : {403, 502, 503, 504, 407}) {
    for (const bool ends : {false, true}) {
      Pair pair;
      pair.far.answers.reset();
      End& client = pair.near.open(to_a);
      client.write(pattern(100'000));
      if (ends) client.stream->finish();
      pair.exchange();
      pair.far.ends.at(0)->stream->respond(status);
      pair.far.ends.at(0)->stream->forget();
      pair.exchange();
      CHECK(client.told == "answer " + std::to_string(status));
      if (!ends) CHECK(client.write("more") == 0);
      client.stream->forget();
      pair.exchange();
      CHECK(pair.near.http2.streams() == 0);
      CHECK(pair.far.http2.streams() == 0);
      CHECK(pair.near.http2.failed().empty());
      CHECK(pair.far.http2.failed().empty());
    }
  }
}

TEST_CASE("http2: a reset is a reset on the other side, after the bytes that were there") {
  for (const bool client_resets : {true, false}) {
    Tunnel tunnel;
    End& from = client_resets ? tunnel.client : tunnel.server();
    End& to = client_resets ? tunnel.server() : tunnel.client;
    from.write("last words");
    from.stream->reset(ErrorCode::connect_error);
    from.stream->forget();
    tunnel.exchange();
    CHECK(to.received == "last words");
    CHECK(to.last == "reset 10");
    CHECK_FALSE(to.ended);
    CHECK(to.write("x") == 0);
    to.stream->forget();
    CHECK(tunnel.near.http2.streams() == 0);
    CHECK(tunnel.far.http2.streams() == 0);
  }
}

TEST_CASE("http2: a reset after an end is a reset") {
  Tunnel tunnel;
  tunnel.client.write("all");
  tunnel.client.stream->finish();
  tunnel.exchange();
  tunnel.client.stream->reset(ErrorCode::connect_error);
  tunnel.exchange();
  CHECK(tunnel.server().told == "bytes, end, reset 10");

  // Both before anything is sent: what was written comes, the end does not.
  Tunnel other;
  other.client.write("all");
  other.client.stream->finish();
  other.client.stream->reset(ErrorCode::connect_error);
  other.exchange();
  CHECK(other.server().told == "bytes, reset 10");
}

TEST_CASE("http2: a reset does not wait for a window that is used up") {
  Tunnel tunnel;
  tunnel.server().reads = false;
  const std::string much = pattern(1'000'000);
  tunnel.client.write(much);
  tunnel.exchange();
  tunnel.client.write(much);
  tunnel.exchange();
  CHECK(tunnel.client.stream->unsent() == Endpoint::least_window);
  tunnel.client.stream->reset(ErrorCode::connect_error);
  tunnel.exchange();
  CHECK(tunnel.server().told == "reset 10");
  // What had arrived can still be read, and is no end.
  tunnel.server().read();
  CHECK(tunnel.server().received == much.substr(0, Endpoint::least_window));
  CHECK_FALSE(tunnel.server().ended);
}

TEST_CASE("http2: a stream that is reset before its request went out is never heard of") {
  Pair pair;
  End& client = pair.near.open(to_a);
  client.write("x");
  client.stream->reset(ErrorCode::cancel);
  client.stream->forget();
  pair.exchange();
  CHECK(pair.near.http2.streams() == 0);
  CHECK(pair.far.http2.streams() <= 1);  // it may have gone out, with its reset
  for (const auto& end : pair.far.ends) CHECK(end->last == "reset 8");
}

TEST_CASE("http2: forgetting a stream that goes on resets it; one that is complete is still sent") {
  Tunnel tunnel;
  tunnel.client.stream->forget();
  tunnel.exchange();
  CHECK(tunnel.server().told == "reset 8");
  tunnel.server().stream->forget();

  Tunnel other;
  other.server().reads = false;
  other.server().stream->finish();
  other.exchange();
  const std::string much = pattern(120'000);
  std::size_t sent = other.client.write(much);
  other.exchange();
  sent += other.client.write(std::string_view(much).substr(sent));
  CHECK(sent == much.size());
  other.client.stream->finish();
  CHECK(other.client.ended);
  other.client.stream->forget();
  other.exchange();
  CHECK(other.near.http2.streams() == 1);
  other.server().reads = true;
  other.server().read();
  other.exchange();
  other.server().read();
  CHECK(other.server().received == much);
  CHECK(other.server().ended);
  CHECK(other.near.http2.streams() == 0);
}

TEST_CASE(
    "http2: streams beyond the far side's limit are refused, and not opened once it is known") {
  Settings two;
  two.max_streams = 2;
  BlockPool pool(Endpoint::least_window);
  Pair pair;
  Side far(Endpoint::Role::far, two, pool);
  std::vector<End*> ends(4);
  for (auto& end : ends) end = &pair.near.open(to_a);
  const auto exchange = [&] {
    for (int i = 0; i < 5; ++i) {
      CHECK(far.feed(pair.near.sends()));
      CHECK(pair.near.feed(far.sends()));
    }
  };
  exchange();
  CHECK(ends[0]->told == "answer 200");
  CHECK(ends[1]->told == "answer 200");
  CHECK(ends[2]->told == "reset 7");
  CHECK(ends[3]->told == "reset 7");
  CHECK_FALSE(pair.near.http2.can_open());
  CHECK(pair.near.open(to_a).stream == nullptr);
  ends[0]->stream->forget();
  exchange();
  far.ends.at(0)->stream->forget();
  CHECK(pair.near.http2.can_open());
}

TEST_CASE("http2: the window never promises more than the buffer keeps") {
  for (const std::size_t window : {Endpoint::least_window, std::size_t{1} << 20}) {
    Tunnel tunnel({}, window);
    tunnel.server().reads = false;
    const std::string much = pattern(4 * window);
    std::size_t sent = 0;
    const auto push = [&] {
      for (int i = 0; i < 4; ++i) {
        sent += tunnel.client.write(std::string_view(much).substr(sent));
        tunnel.exchange();
      }
    };
    // Unread at the far end: all that was sent and is neither here any more nor taken there.
    const auto unread = [&] {
      return sent - tunnel.client.stream->unsent() - tunnel.server().received.size();
    };
    push();
    CHECK(unread() == window);
    std::minstd_rand random(7);  // NOLINT(cert-msc*): the same each time
    for (int i = 0; i < 200 && sent < much.size(); ++i) {
      tunnel.server().take(random() % (window / 4));
      push();
      CHECK(unread() <= window);
      CHECK(unread() >= window / 4);  // and it is used
    }
    CHECK(tunnel.server().received == much.substr(0, tunnel.server().received.size()));
    CHECK(tunnel.far.http2.failed().empty());
  }
}

TEST_CASE("http2: stalled streams stall no other, both ways") {
  Settings settings;
  settings.connection_window = 65'535;  // less than the stalled ones hold
  for (const bool up : {true, false}) {
    Pair pair(settings);
    std::vector<End*> clients(6);
    for (auto& end : clients) end = &pair.near.open(to_a);
    pair.exchange();
    const auto sender = [&](std::size_t i) -> End& {
      return up ? *clients[i] : *pair.far.ends.at(i);
    };
    const auto reader = [&](std::size_t i) -> End& {
      return up ? *pair.far.ends.at(i) : *clients[i];
    };
    for (std::size_t i = 0; i < 5; ++i) {
      reader(i).reads = false;
      for (int j = 0; j < 3; ++j) {
        sender(i).write(pattern(100'000));
        pair.exchange();
      }
      CHECK(sender(i).stream->unsent() == Endpoint::least_window);
    }
    const std::string much = pattern(2'000'000);
    send_all(pair, sender(5), much);
    CHECK(reader(5).received == much);
  }
}

TEST_CASE("http2: a writer is told when there is room again, and not before") {
  Tunnel tunnel;
  tunnel.server().reads = false;
  const std::string much = pattern(200'000);
  CHECK(tunnel.client.write(much) == Endpoint::least_window);
  CHECK_FALSE(tunnel.client.stream->writable());
  tunnel.exchange();
  CHECK(tunnel.client.writable == 1);
  CHECK(tunnel.client.write(much) == Endpoint::least_window);
  tunnel.exchange();
  CHECK(tunnel.client.writable == 1);
  tunnel.server().take(Endpoint::least_window / 2 - 1);
  tunnel.exchange();
  CHECK(tunnel.client.writable == 1);
  tunnel.server().take(1);
  tunnel.exchange();
  CHECK(tunnel.client.writable == 2);
}

TEST_CASE("http2: bytes can be put straight into the stream's memory") {
  Tunnel tunnel;
  const std::string text = pattern(150'000);
  std::size_t at = 0;
  while (at < text.size()) {
    const auto room = tunnel.client.stream->room();
    const std::size_t count = std::min(room.size(), std::size_t{40'000});
    const std::size_t put = std::min(count, text.size() - at);
    for (std::size_t i = 0; i < put; ++i) room[i] = static_cast<std::byte>(text[at + i]);
    tunnel.client.stream->wrote(put);
    at += put;
    tunnel.exchange();
  }
  CHECK_FALSE(tunnel.client.stream->room().empty());
  tunnel.client.stream->wrote(0);
  tunnel.exchange();
  CHECK(tunnel.server().received == text);
}

TEST_CASE("http2: a reader may take a part, and the rest is kept") {
  Tunnel tunnel({}, 256U << 10);
  tunnel.server().reads = false;
  int events = 0;
  const std::string text = pattern(200'000);
  std::string got;
  struct Partly final : Stream::Events {
    Stream& stream;
    std::string& got;
    int& events;
    Partly(Stream& one, std::string& into, int& count) : stream(one), got(into), events(count) {}
    void on_answer(int /*status*/) override {}
    void on_writable() override {}
    void on_reset(ErrorCode /*code*/) override {}
    void on_readable() override {
      ++events;
      take(1000);
    }
    void take(std::size_t most) const {
      const auto bytes = stream.readable().first(std::min(most, stream.readable().size()));
      got.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
      stream.consumed(bytes.size());
    }
  } partly(*tunnel.server().stream, got, events);
  tunnel.server().stream->set_events(partly);
  send_all(tunnel, tunnel.client, text);
  CHECK(events >= 1);
  CHECK(got.size() == 1000U * static_cast<unsigned>(events));
  while (!tunnel.server().stream->readable().empty()) partly.take(SIZE_MAX);
  CHECK(got == text);
}

TEST_CASE("http2: frames are as large as both sides allow") {
  Tunnel tunnel({}, 1U << 20);
  tunnel.to_far.clear();
  const std::string text = pattern(1'000'000);
  send_all(tunnel, tunnel.client, text);
  CHECK(tunnel.server().received == text);
  CHECK(largest_data(tunnel.to_far) == 256U << 10);

  Settings small;
  small.max_frame = 16'384;
  Tunnel other(small, 1U << 20);
  other.to_far.clear();
  send_all(other, other.client, text);
  CHECK(other.server().received == text);
  CHECK(largest_data(other.to_far) == 16'384);
}

TEST_CASE("http2: streams that are all busy share the connection, both ways") {
  for (const bool up : {true, false}) {
    Settings settings;
    settings.max_frame = 16'384;
    Pair pair(settings);
    std::vector<End*> clients(4);
    for (auto& end : clients) end = &pair.near.open(to_a);
    pair.exchange();
    Side& sender = up ? pair.near : pair.far;
    for (const auto& end : sender.ends) end->write(pattern(60'000));
    std::vector<std::byte> buffer(132'000);
    const std::size_t count = sender.http2.produce(buffer);
    std::vector<std::size_t> bytes(8);
    for (const auto& one : frames({reinterpret_cast<const char*>(buffer.data()), count})) {
      if (one.type == DATA) bytes.at(one.stream) += one.payload.size();
    }
    for (const std::uint32_t id : {1U, 3U, 5U, 7U}) CHECK(bytes[id] >= 16'384);
  }
}

TEST_CASE("http2: PING is answered") {
  Pair pair;
  pair.near.http2.ping(42);
  pair.far.http2.ping(43);
  pair.exchange();
  CHECK(pair.near.told == "ping 42");
  CHECK(pair.far.told == "ping 43");
}

TEST_CASE(
    "http2: far drains in two steps: a request on its way is served, a later one is not sent") {
  Tunnel tunnel;
  tunnel.far.http2.drain();
  End& late = tunnel.near.open(to_a);  // has not seen the GOAWAY yet
  tunnel.exchange();
  CHECK(late.told == "answer 200");
  CHECK(tunnel.near.told == "goaway 2147483647 0, goaway 3 0");
  CHECK_FALSE(tunnel.near.http2.can_open());
  CHECK(tunnel.near.open(to_a).stream == nullptr);

  // Both go on to their ends.
  for (const auto& side : {&tunnel.near, &tunnel.far}) {
    CHECK_FALSE(side->http2.finished());
    for (const auto& end : side->ends) {
      if (end->stream == nullptr) continue;
      end->write("more");
      end->stream->finish();
    }
  }
  tunnel.exchange();
  CHECK(late.told == "answer 200, bytes, end");
  CHECK(tunnel.client.told == "answer 200, bytes, end");
  CHECK(tunnel.near.http2.finished());
  CHECK(tunnel.far.http2.finished());
}

TEST_CASE("http2: near drains") {
  Tunnel tunnel;
  tunnel.near.http2.drain();
  CHECK_FALSE(tunnel.near.http2.can_open());
  tunnel.exchange();
  CHECK(tunnel.far.told == "connect a.example:514||, goaway 0 0");
  tunnel.client.write("bye");
  tunnel.client.stream->finish();
  tunnel.server().stream->finish();
  tunnel.exchange();
  CHECK(tunnel.server().told == "bytes, end");
  CHECK(tunnel.near.http2.finished());
  CHECK(tunnel.far.http2.finished());
}

TEST_CASE("http2: a lost connection resets every open stream, and what had come can be read") {
  Tunnel tunnel;
  End& other = tunnel.near.open(to_a);
  tunnel.exchange();
  other.stream->finish();
  tunnel.far.ends.at(1)->stream->finish();
  tunnel.client.reads = false;
  tunnel.server().write("unread");
  tunnel.exchange();
  tunnel.near.http2.lose();
  tunnel.far.http2.lose();
  CHECK(tunnel.client.told == "answer 200, reset 10");
  CHECK(tunnel.server().told == "reset 10");
  CHECK(other.told == "answer 200, end");  // it was complete
  CHECK_FALSE(tunnel.client.stream->ended());
  tunnel.client.read();
  CHECK(tunnel.client.received == "unread");
  CHECK_FALSE(tunnel.client.ended);
  CHECK(tunnel.client.write("x") == 0);
  CHECK_FALSE(tunnel.near.http2.wants_write());
  CHECK_FALSE(tunnel.near.http2.can_open());
  CHECK_FALSE(tunnel.near.feed("x"));
  tunnel.client.stream->forget();
  tunnel.client.stream = nullptr;
  other.stream->forget();
  CHECK(tunnel.near.http2.streams() == 0);
}

TEST_CASE("http2: a stream may be given up in the event that tells of its bytes") {
  for (const std::size_t size : {std::size_t{100}, std::size_t{60'000}}) {
    Tunnel tunnel;
    struct GivesUp final : Stream::Events {
      Stream& stream;
      explicit GivesUp(Stream& of) : stream(of) {}
      void on_answer(int /*status*/) override {}
      void on_writable() override {}
      void on_reset(ErrorCode /*code*/) override {}
      void on_readable() override { stream.forget(); }
    } gives_up(*tunnel.server().stream);
    tunnel.server().stream->set_events(gives_up);
    tunnel.client.write(pattern(size));
    tunnel.exchange();
    CHECK(tunnel.client.last == "reset 8");
    CHECK(tunnel.far.http2.streams() == 0);
  }
}

TEST_CASE("http2: cut() resets the streams at both ends, those that wait with their reset too") {
  for (const bool of_near : {false, true}) {
    Tunnel tunnel;
    End& other = tunnel.near.open(to_a);
    tunnel.exchange();
    Side& side = of_near ? tunnel.near : tunnel.far;
    const End& cut = of_near ? tunnel.client : tunnel.server();
    // More than goes at once: its reset waits.
    const End& waiting = of_near ? other : *tunnel.far.ends[1];
    CHECK(waiting.write(pattern(65'536)) == 65'536);
    CHECK(cut.write("lost") == 4);
    waiting.stream->reset(ErrorCode::cancel);
    side.http2.cut();
    CHECK(cut.told.ends_with("reset 10"));
    CHECK_FALSE(side.http2.can_open());
    CHECK(summary(side.sends()).find("DATA") == std::string::npos);
  }

  Tunnel tunnel;
  tunnel.near.http2.cut();
  tunnel.exchange();
  CHECK(tunnel.client.told == "answer 200, reset 10");
  CHECK(tunnel.server().told == "reset 10");
  CHECK(tunnel.far.told == "connect a.example:514||, goaway 0 0");
  CHECK(tunnel.near.http2.finished());
  CHECK(tunnel.near.http2.failed().empty());
  tunnel.client.stream->forget();
  tunnel.server().stream->forget();
  CHECK(tunnel.near.http2.streams() + tunnel.far.http2.streams() == 0);
}
