// Near and far over TCP loopback: what passes, how connections and their streams end, and in what
// words.
#include "tunnel/connection.h"

#include <array>
#include <chrono>
#include <cstddef>
#include <filesystem>
#include <iterator>
#include <span>
#include <string>
#include <string_view>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <thread>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "net/socket.h"
#include "unit/http2/endpoint_pair.h"
#include "unit/tls/certificates.h"
#include "unit/tunnel/connection_pair.h"

using namespace connection_pair;
using finhold::test::Authority;
using finhold::test::CertificateFiles;
using finhold::tls::ClientSettings;
using finhold::tls::ServerSettings;
using http2_pair::pattern;

namespace {

Authority& authority() {
  static Authority made("Test CA");
  return made;
}

const CertificateFiles& certificate() {
  static const CertificateFiles made = authority().issue();
  return made;
}

template <typename Settings>
Context load(const Settings& settings) {
  auto loaded = Context::load(settings);
  REQUIRE_MESSAGE(loaded.ok(), loaded.error().front().text);
  return std::move(loaded.value());
}

const Context& near_tls() {
  static const Context made = load(ClientSettings{
      authority().certificate(), certificate().certificate, certificate().key, "far.test"});
  return made;
}

const Context& far_tls() {
  static const Context made =
      load(ServerSettings{certificate().certificate, certificate().key, authority().certificate()});
  return made;
}

// A pair over TLS, or over nothing.
struct Joined {
  World world;
  Side& near = world.near;
  Side& far = world.far;

  explicit Joined(bool tls = false, bool small_buffers = false,
                  std::size_t window = Endpoint::least_window)
      : world(window) {
    world.join(tls ? &near_tls() : nullptr, tls ? &far_tls() : nullptr, small_buffers);
    REQUIRE(near.told == "ready");
    REQUIRE(far.told == "ready");
  }

  // Both ends of a new stream.
  End& open() {
    End& end = near.open();
    world.until([&] { return end.answer != 0; });
    REQUIRE(end.answer == 200);
    return end;
  }
  void both_go() {
    world.until([&] { return near.gone && far.gone; });
  }
  void forget() {
    near.forget_all();
    far.forget_all();
  }
};

void send_raw(const net::Descriptor& to, std::string_view bytes) {
  REQUIRE(send(to.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
          static_cast<ssize_t>(bytes.size()));
}

// All until the end, or until a reset: then "RESET" is at the end.
std::string all_of(const net::Descriptor& from) {
  std::string all;
  std::vector<char> buffer(100'000);
  for (;;) {
    const ssize_t count = recv(from.get(), buffer.data(), buffer.size(), 0);
    if (count <= 0) return count == 0 ? all : all + "RESET";
    all.append(buffer.data(), static_cast<std::size_t>(count));
  }
}

// Connections to the far end that are ready, and ask for much at once: each request is no CONNECT,
// and is answered.
class Crowd {
 public:
  Crowd(World& world, int count, const std::string& host = "127.0.0.1") {
    for (int i = 0; i < count; ++i) {
      raws_.push_back(world.join(world.far, nullptr, false, host));
      sockets_.push_back(world.far.socket);
      send_raw(raws_.back(), http2_pair::client_preface());
      world.until([&] { return world.far.connection->ready(); });
    }
    for (std::uint32_t i = 0; i < 1500; ++i) {
      requests_ += http2_pair::frame(http2_pair::HEADERS, http2_pair::END_HEADERS, 1 + 2 * i,
                                     std::string("\x82", 1));
    }
  }
  void ask() const {
    for (const auto& raw : raws_) send_raw(raw, requests_);
  }
  [[nodiscard]] int asked() const { return static_cast<int>(requests_.size() * raws_.size()); }
  // Bytes that wait at the far end.
  [[nodiscard]] int unread() const {
    int sum = 0;
    for (const int each : sockets_) {
      int bytes = 0;
      REQUIRE(ioctl(each, FIONREAD, &bytes) == 0);
      sum += bytes;
    }
    return sum;
  }

 private:
  std::vector<net::Descriptor> raws_;
  std::vector<int> sockets_;
  std::string requests_;
};

std::string answer_200(std::uint32_t stream) {
  return http2_pair::frame(http2_pair::HEADERS, http2_pair::END_HEADERS, stream,
                           http2_pair::fields({{":status", "200"}}));
}

}  // namespace

TEST_CASE("connection: bytes and ends pass both ways, with TLS and without") {
  for (const bool tls : {false, true}) {
    Joined pair(tls);
    CHECK(pair.near.connection->identity() == (tls ? "CN=far" : ""));
    CHECK(pair.far.connection->identity() == (tls ? "CN=far" : ""));
    pair.far.greets = [](End& end) { end.echoes = true; };
    End& end = pair.near.open("db.example:5432");
    end.sends = "question";
    end.go();
    pair.world.until([&] { return end.received == "question"; });
    CHECK_FALSE(end.ended);
    end.finishes = true;
    end.go();
    pair.world.until([&] { return end.ended; });
    CHECK(pair.far.told == "ready, connect db.example:5432");
    CHECK(pair.far.ends[0]->ended_with("question"));
    CHECK(end.ended_with("question"));
    pair.forget();
  }
}

TEST_CASE("connection: much passes both ways in several streams, and every byte is right") {
  for (const bool tls : {false, true}) {
    for (const bool small : {false, true}) {
      CAPTURE(tls);
      CAPTURE(small);
      Joined pair(tls, small);
      const std::size_t size = small ? 300'000 : 5'000'000;
      pair.far.greets = [&](End& end) {
        end.sends = pattern(size, static_cast<unsigned>(100 + pair.far.ends.size()));
        end.finishes = true;
      };
      for (unsigned i = 1; i <= 3; ++i) {
        End& end = pair.near.open();
        end.sends = pattern(size, i);
        end.finishes = true;
        end.go();
      }
      pair.world.until([&] { return pair.near.ended() == 3 && pair.far.ended() == 3; });
      for (unsigned i = 1; i <= 3; ++i) {
        CHECK(pair.far.ends[i - 1]->ended_with(pattern(size, i)));
        CHECK(pair.near.ends[i - 1]->ended_with(pattern(size, 100 + i)));
      }
      pair.forget();
      pair.near.connection->drain();
      pair.both_go();
      CHECK(pair.near.told == "ready, closed");
      CHECK(pair.far.told.ends_with(", goaway, closed"));
    }
  }
}

TEST_CASE("connection: many streams at once, and as many again when those have gone") {
  World world;
  world.options.http2.max_streams = 200;
  world.join(&near_tls(), &far_tls());
  world.far.greets = [](End& end) { end.echoes = true; };
  for (std::size_t round = 1; round <= 2; ++round) {
    for (int i = 0; i < 200; ++i) {
      End& end = world.near.open();
      end.sends = "number " + std::to_string(i);
      end.finishes = true;
      end.go();
    }
    CHECK_FALSE(world.near.connection->can_open());
    world.until([&] { return world.near.ended() == 200 * round; });
    for (std::size_t i = 0; i < 200; ++i) {
      CHECK(world.near.ends[200 * (round - 1) + i]->ended_with("number " + std::to_string(i)));
    }
    world.near.forget_all();
    world.far.forget_all();
    CHECK(world.near.connection->streams() == 0);
    // That there is room again is told at the end of a turn.
    world.near.connection->touch();
    world.until([&] { return world.near.rooms > 0; });
    CHECK(world.near.connection->can_open());
  }
}

TEST_CASE("connection: a stream that nobody reads stalls no other") {
  Joined pair(true);
  pair.far.greets = [&](End& end) { end.reads = pair.far.ends.size() != 1; };
  End& stalled = pair.near.open();
  stalled.sends = pattern(300'000);
  stalled.finishes = true;
  stalled.go();
  End& other = pair.near.open();
  other.sends = pattern(4'000'000, 2);
  other.finishes = true;
  other.go();
  pair.world.until([&] { return pair.far.ended() == 1; });
  CHECK(pair.far.ends[1]->ended_with(other.sends));
  // What the other end keeps is the window, and what this one keeps is as much.
  CHECK(stalled.sent <= 2 * Endpoint::least_window);
  CHECK(pair.far.ends[0]->received.empty());

  pair.far.ends[0]->reads = true;
  pair.far.ends[0]->go();
  pair.world.until([&] { return pair.far.ended() == 2; });
  CHECK(pair.far.ends[0]->ended_with(stalled.sends));
  pair.forget();
}

TEST_CASE("connection: an end alone, long after the bytes") {
  Joined pair;
  End& end = pair.open();
  end.sends = "all";
  end.go();
  pair.world.until([&] { return pair.far.ends[0]->received == "all"; });
  CHECK_FALSE(pair.far.ends[0]->ended);
  end.finishes = true;
  end.go();
  pair.world.until([&] { return pair.far.ends[0]->ended; });
  CHECK(pair.far.ends[0]->ended_with("all"));
  pair.forget();
}

TEST_CASE("connection: the loss of it resets its streams, also those that one side has ended") {
  for (const bool tls : {false, true}) {
    CAPTURE(tls);
    Joined pair(tls);
    End& one = pair.open();
    End& other = pair.near.open();
    other.sends = "half";
    other.finishes = true;
    other.go();
    pair.world.until([&] { return pair.far.ended() == 1; });
    pair.far.forget_all();
    pair.far.table.reset();  // as if the process had died
    pair.world.until([&] { return pair.near.closed == 1; });
    CHECK(pair.near.told == "ready, closed: reset by the other side");
    CHECK(one.reset == ErrorCode::connect_error);
    CHECK(other.reset == ErrorCode::connect_error);
    CHECK(pair.near.ended() == 0);
    // It stays as long as somebody may read what had arrived.
    pair.world.pause(20);
    CHECK_FALSE(pair.near.gone);
    pair.near.forget_all();
    pair.world.until([&] { return pair.near.gone; });
  }
}

TEST_CASE("connection: the end of the socket alone is no end of a connection, but a loss") {
  for (const bool tls : {false, true}) {
    CAPTURE(tls);
    Joined pair(tls);
    const End& end = pair.open();
    shutdown(pair.far.socket, SHUT_WR);
    pair.world.until([&] { return pair.near.closed == 1; });
    CHECK(pair.near.told ==
          (tls ? "ready, closed: the connection ended without TLS's close_notify, so something may "
                 "be missing"
               : "ready, closed: the other side closed the connection without GOAWAY"));
    CHECK(end.reset == ErrorCode::connect_error);
    CHECK_FALSE(end.ended);
    // And that one has met a reset.
    pair.world.until([&] { return pair.far.closed == 1; });
    CHECK(pair.far.ends[0]->reset == ErrorCode::connect_error);
    pair.forget();
    pair.both_go();
  }
}

TEST_CASE(
    "connection: what ends in the middle of a frame is a loss, and what came before it counts") {
  World world;
  const net::Descriptor raw = world.join(world.near);
  send_raw(raw, http2_pair::server_preface());
  world.until([&] { return world.near.connection->ready(); });
  End& end = world.near.open();
  const std::string data = http2_pair::frame(http2_pair::DATA, http2_pair::END_STREAM, 1, "second");
  world.pause(1);
  send_raw(raw, answer_200(1) + http2_pair::frame(http2_pair::DATA, 0, 1, "first"));
  send_raw(raw, std::string_view(data).substr(0, data.size() - 1));
  REQUIRE(shutdown(raw.get(), SHUT_WR) == 0);
  world.until([&] { return world.near.closed == 1; });
  CHECK(world.near.told == "ready, closed: the other side closed the connection without GOAWAY");
  CHECK(end.received == "firstsecon");
  CHECK_FALSE(end.ended);
  CHECK(end.reset == ErrorCode::connect_error);
  end.forget();
}

TEST_CASE("connection: after drain() streams go on to their ends, then both sides close in order") {
  for (const bool tls : {false, true}) {
    for (const bool of_near : {false, true}) {
      CAPTURE(tls);
      CAPTURE(of_near);
      Joined pair(tls);
      pair.far.greets = [](End& end) { end.echoes = true; };
      End& end = pair.open();
      (of_near ? pair.near : pair.far).connection->drain();
      pair.world.until([&] { return (of_near ? pair.far : pair.near).told.ends_with("goaway"); });
      CHECK_FALSE(pair.near.connection->can_open());
      end.sends = pattern(200'000);
      end.finishes = true;
      end.go();
      pair.world.until([&] { return end.ended; });
      CHECK(end.ended_with(end.sends));
      pair.forget();
      pair.both_go();
      CHECK(pair.near.told.ends_with("closed"));
      CHECK(pair.far.told.ends_with("closed"));
      CHECK(pair.near.closed + pair.far.closed == 2);
    }
  }
}

TEST_CASE("connection: drain() of an idle one closes it, and of one that is not ready too") {
  Joined pair(true);
  pair.near.connection->drain();
  pair.both_go();
  CHECK(pair.near.told == "ready, closed");
  CHECK(pair.far.told == "ready, goaway, closed");

  World world;
  const net::Descriptor raw = world.join(world.far, &far_tls());
  world.far.connection->drain();
  world.until([&] { return world.far.gone; });
  CHECK(world.far.told == "closed");
}

TEST_CASE("connection: cut() resets the streams at both ends") {
  for (const bool tls : {false, true}) {
    Joined pair(tls);
    End& end = pair.open();
    end.sends = "some";
    end.go();
    pair.world.until([&] { return pair.far.ends[0]->received == "some"; });
    pair.near.table->cut_all();
    CHECK(pair.near.told == "ready");  // nothing is told from within a verb
    pair.world.until([&] { return pair.near.closed + pair.far.closed == 2; });
    CHECK(pair.near.told == "ready, closed: it was cut by this side");
    CHECK(pair.far.told == "ready, connect a:1, goaway, closed");
    CHECK(end.reset == ErrorCode::connect_error);
    CHECK(pair.far.ends[0]->reset == ErrorCode::connect_error);
    pair.forget();
    pair.both_go();
  }
}

TEST_CASE("connection: tables may go while streams are open") {
  Joined pair(true);
  static_cast<void>(pair.open());
  static_cast<void>(pair.near.open());
}

TEST_CASE("connection: an end that does not answer PING is lost") {
  World world;
  world.options.life = {std::chrono::milliseconds(30), std::chrono::milliseconds(50)};
  const net::Descriptor raw = world.join(world.far);
  send_raw(raw, http2_pair::client_preface() + http2_pair::connect(1));
  world.until([&] { return world.far.closed == 1; });
  CHECK(world.far.told == "ready, connect a:1, closed: no answer to PING for 50ms");
  CHECK(world.far.ends[0]->reset == ErrorCode::connect_error);
  world.far.forget_all();
  const std::string all = all_of(raw);
  CHECK(http2_pair::summary(all).find("PING 0/0") != std::string::npos);
  CHECK(all.ends_with("RESET"));
}

TEST_CASE("connection: idle ones stay, and so does one that sends but answers no PING") {
  World world;
  world.options.life = {std::chrono::milliseconds(10), std::chrono::milliseconds(100)};
  world.join(&near_tls(), &far_tls());
  world.pause(300);
  CHECK(world.near.told + world.far.told == "readyready");

  const net::Descriptor raw = world.join(world.far);
  send_raw(raw, http2_pair::client_preface());
  for (int i = 0; i < 20; ++i) {
    send_raw(raw, http2_pair::frame(http2_pair::PING, 0, 0, "12345678"));
    world.pause(20);
  }
  CHECK(world.far.closed == 0);
}

TEST_CASE("connection: who is not ready in time is dropped, however little it sends") {
  World world;
  world.options.ready_within_ms = 100;
  SUBCASE("silent") {
    const net::Descriptor raw = world.join(world.far, &far_tls());
    world.until([&] { return world.far.gone; });
    CHECK(world.far.told == "closed: TLS and HTTP/2 were not ready within 100ms");
  }
  SUBCASE("slow") {
    const net::Descriptor raw = world.join(world.far);
    const std::string preface = http2_pair::client_preface();
    for (std::size_t i = 0; i < preface.size() && world.far.closed == 0; ++i) {
      send(raw.get(), &preface[i], 1, MSG_NOSIGNAL);
      world.pause(10);
    }
    CHECK(world.far.told == "closed: HTTP/2 was not ready within 100ms");
  }
  SUBCASE("a server that accepts, and no more") {
    const net::Descriptor raw = world.join(world.near, &near_tls());
    world.until([&] { return world.near.gone; });
    CHECK(world.near.told == "closed: TLS and HTTP/2 were not ready within 100ms");
  }
}

TEST_CASE("connection: why TLS does not come about is told at both ends") {
  World world;
  const auto both_go = [&] { world.until([&] { return world.near.gone && world.far.gone; }); };
  SUBCASE("an authority that near does not know") {
    Authority stranger("Stranger");
    const Context near = load(ClientSettings{stranger.certificate(), {}, {}, "far.test"});
    world.join(&near, &far_tls());
    both_go();
    CHECK(world.near.told.starts_with("closed: TLS: the far end's certificate is refused"));
    CHECK(world.far.told.find("does not know who issued our certificate") != std::string::npos);
  }
  SUBCASE("a certificate that near does not have") {
    const Context near = load(ClientSettings{authority().certificate(), {}, {}, "far.test"});
    world.join(&near, &far_tls());
    both_go();
    CHECK(world.far.told == "closed: TLS: the client has shown no certificate");
    CHECK(world.near.told.find("it wants a certificate from us") != std::string::npos);
  }
  SUBCASE("near without TLS") {
    world.join(nullptr, &far_tls());
    both_go();
    CHECK(world.far.told ==
          "closed: the other side speaks HTTP/2 without TLS: write tls = { ... } in the near "
          "end's [[tunnel]], as in [[far]]");
    CHECK(
        world.near.told ==
        "closed: the other side closed the connection before HTTP/2 was ready; if it expects TLS, "
        "write tls = { ... } in [[tunnel]]");
  }
  SUBCASE("near without TLS, and far answers by an alert") {
    net::Descriptor raw = world.join(world.near);
    send_raw(raw, std::string("\x15\3\1\0\2\2\x46", 7));
    raw.close();
    world.until([&] { return world.near.closed == 1; });
    CHECK(world.near.told ==
          "closed: the other side speaks TLS, and here it is off: write tls = { ... } in "
          "[[tunnel]], as in the far end's [[far]]");
  }
  SUBCASE("far without TLS") {
    world.join(&near_tls(), nullptr);
    both_go();
    CHECK(world.far.told ==
          "closed: the other side speaks TLS, and here it is off: write tls = { ... } in [[far]], "
          "as in the near end's [[tunnel]]");
    CHECK(world.near.told ==
          "closed: the other side speaks HTTP/2 without TLS: write tls = { ... } in the far end's "
          "[[far]], as in [[tunnel]]");
  }
  SUBCASE("far is something else") {
    const net::Descriptor raw = world.join(world.near, &near_tls());
    send_raw(raw, "220 mail.example.net ESMTP\r\n");
    world.until([&] { return world.near.closed == 1; });
    CHECK(world.near.told == "closed: TLS: what the other side sends is not TLS");
  }
}

TEST_CASE("connection: what is no HTTP/2 is told to be none, whatever frames it looks like") {
  World world;
  const net::Descriptor raw = world.join(world.far);
  // Where the first frame would be, HEADERS of 16 MB.
  send_raw(raw, std::string(24, 'x') + std::string("\xff\xff\xff\1\0\0\0\0\1", 9));
  world.until([&] { return world.far.closed == 1; });
  CHECK(world.far.told == "closed: HTTP/2: it does not speak HTTP/2");
}

TEST_CASE("connection: a refusal is read by who is refused, whatever else it has sent") {
  World world;
  SUBCASE("TLS: an alert") {
    const net::Descriptor raw = world.join(world.far, &far_tls());
    // A ClientHello of one byte.
    constexpr std::string_view record("\x16\x03\x01\0\x05\x01\0\0\x01\0", 10);
    send_raw(raw, std::string(record) + pattern(100'000));
    world.until([&] { return world.far.closed == 1; });
    CHECK(world.far.told.starts_with("closed: TLS: "));
    REQUIRE(shutdown(raw.get(), SHUT_WR) == 0);
    world.until([&] { return world.far.gone; });
    const std::string all = all_of(raw);
    REQUIRE(all.size() == 7);
    CHECK(all[0] == 21);  // alert
  }
  SUBCASE("HTTP/2: GOAWAY") {
    const net::Descriptor raw = world.join(world.far);
    // DATA on stream 0 (RFC 9113 section 6.1).
    send_raw(raw, http2_pair::client_preface() + http2_pair::connect(1) +
                      http2_pair::frame(http2_pair::DATA, 0, 0, "x") + pattern(100'000));
    world.until([&] { return world.far.closed == 1; });
    CHECK(world.far.told.starts_with("ready, connect a:1, closed: HTTP/2: "));
    CHECK(world.far.ends[0]->reset == ErrorCode::protocol_error);
    world.far.forget_all();
    REQUIRE(shutdown(raw.get(), SHUT_WR) == 0);
    world.until([&] { return world.far.gone; });
    const auto frames = http2_pair::frames(all_of(raw));
    REQUIRE_FALSE(frames.empty());
    CHECK(frames.back().type == http2_pair::GOAWAY);
    CHECK(http2_pair::number_in(std::string_view(frames.back().payload).substr(4)) == 1);
  }
}

TEST_CASE("connection: GOAWAY with an error is a loss") {
  World world;
  const net::Descriptor raw = world.join(world.near);
  send_raw(raw, http2_pair::server_preface());
  world.until([&] { return world.near.connection->ready(); });
  const End& end = world.near.open();
  world.pause(1);
  send_raw(raw, http2_pair::frame(http2_pair::GOAWAY, 0, 0,
                                  http2_pair::number(1) + http2_pair::number(11)));
  world.until([&] { return world.near.closed == 1; });
  CHECK(world.near.told ==
        "ready, goaway, closed: the other side has given the connection up: HTTP/2 "
        "ENHANCE_YOUR_CALM");
  CHECK(end.reset == ErrorCode::connect_error);
  world.near.forget_all();
}

TEST_CASE("connection: what had arrived before a loss can be read after it, and then it goes") {
  Joined pair(true);
  pair.far.greets = [](End& end) { end.reads = false; };
  End& end = pair.open();
  end.sends = pattern(50'000);
  end.go();
  End& far = *pair.far.ends[0];
  pair.world.until([&] { return far.stream->readable().size() == end.sends.size(); });
  pair.near.forget_all();
  pair.near.table.reset();
  pair.world.until([&] { return pair.far.closed == 1; });
  CHECK(far.reset.has_value());
  CHECK_FALSE(pair.far.gone);
  far.reads = true;
  far.go();
  CHECK(far.received == end.sends);
  CHECK_FALSE(far.ended);
  far.forget();
  pair.world.until([&] { return pair.far.gone; });
}

TEST_CASE("connection: one that is drained stays until a slow reader has all of it") {
  World world;
  world.options.goodbye_ms = 700;
  const net::Descriptor raw = world.join(world.near, nullptr, true);
  // All of it waits in the kernel here, and goes in small pieces.
  const int large = 200'000;
  REQUIRE(setsockopt(world.near.socket, SOL_SOCKET, SO_SNDBUF, &large, sizeof large) == 0);
  send_raw(raw, http2_pair::server_preface());
  world.until([&] { return world.near.connection->ready(); });
  End& end = world.near.open();
  end.sends = pattern(65'535);  // what a stream may have at first
  end.finishes = true;
  end.go();
  world.pause(1);
  send_raw(raw, answer_200(1) + http2_pair::frame(http2_pair::DATA, http2_pair::END_STREAM, 1, ""));
  world.until([&] { return end.ended && end.sent == end.sends.size(); });
  end.forget();
  world.near.connection->drain();

  std::string all;
  std::vector<char> buffer(2048);
  ssize_t count = 1;
  while (count > 0) {
    // In all longer than it would wait for the end alone. A socket that is closed resets at this.
    if (world.near.closed == 1) send(raw.get(), "\0", 1, MSG_NOSIGNAL);
    world.pause(50);
    count = recv(raw.get(), buffer.data(), buffer.size(), 0);
    if (count > 0) all.append(buffer.data(), static_cast<std::size_t>(count));
  }
  CHECK(count == 0);
  CHECK(world.near.told == "ready, closed");
  std::string data;
  for (const auto& frame : http2_pair::frames(all)) {
    if (frame.type == http2_pair::DATA) data += frame.payload;
  }
  CHECK(data == end.sends);
}

TEST_CASE("connection: urgent bytes, which HTTP/2 does not have, stall nothing") {
  World world;
  const net::Descriptor raw = world.join(world.far);
  send_raw(raw, http2_pair::client_preface());
  world.until([&] { return world.far.connection->ready(); });
  const std::string request = http2_pair::connect(1);
  for (const char one : request) REQUIRE(send(raw.get(), &one, 1, MSG_OOB) == 1);
  world.until([&] { return world.far.ends.size() == 1; });
}

TEST_CASE("connection: there is room when the other side allows more streams") {
  World world;
  const net::Descriptor raw = world.join(world.near);
  const auto settings = [](std::uint32_t streams) {
    const std::string most = {"\0\3", 2};  // RFC 9113 section 6.5.2
    return http2_pair::frame(http2_pair::SETTINGS, 0, 0, most + http2_pair::number(streams));
  };
  send_raw(raw, settings(1));
  world.until([&] { return world.near.connection->ready(); });
  static_cast<void>(world.near.open());
  CHECK_FALSE(world.near.connection->can_open());
  CHECK(world.near.rooms == 0);
  send_raw(raw, settings(2));
  world.until([&] { return world.near.rooms == 1; });
  CHECK(world.near.connection->can_open());
}

TEST_CASE("connection: there is room again when the last stream goes in the turn it came in") {
  World world;
  world.options.http2.max_streams = 1;
  world.join();
  const int before = world.near.rooms;
  End& end = world.near.open();
  CHECK_FALSE(world.near.connection->can_open());
  end.forget();
  world.until([&] { return world.near.rooms > before; });
  CHECK(world.near.connection->can_open());
}

namespace {

std::ptrdiff_t descriptors() {
  const std::filesystem::directory_iterator all("/proc/self/fd");
  return std::distance(begin(all), end(all));
}

// A near end over TLS whose frames are made by hand.
struct TlsByHand {
  explicit TlsByHand(net::Descriptor socket) : raw(std::move(socket)) { say({}); }

  void say(std::string_view plain) {
    std::vector<std::byte> wire(64'000);
    const auto moved = tls.write(std::as_bytes(std::span(plain)), wire);
    REQUIRE(moved.taken == plain.size());
    send_raw(raw, {reinterpret_cast<const char*>(wire.data()), moved.made});
  }
  // Takes what has come, and answers as far as TLS wants it.
  void hear() {
    std::vector<std::byte> wire(64'000);
    std::vector<std::byte> plain(64'000);
    const ssize_t count = recv(raw.get(), wire.data(), wire.size(), MSG_DONTWAIT);
    if (count > 0) tls.read(std::span(wire).first(static_cast<std::size_t>(count)), plain);
    if (tls.has_output()) say({});
  }

  net::Descriptor raw;
  finhold::tls::Endpoint tls{near_tls()};
};

std::size_t fill(int socket) {
  const std::string bytes(4096, 'x');
  std::size_t all = 0;
  for (;;) {
    const ssize_t count = send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count < 0) return all;
    all += static_cast<std::size_t>(count);
  }
}

// Until nothing more goes into far's socket, nor out of it.
void fill(World& world, TlsByHand& near) {
  while (fill(world.far.socket) > 0) {
    // With what is said goes the acknowledgement of what has come.
    near.say(http2_pair::frame(http2_pair::WINDOW_UPDATE, 0, 0, std::string("\0\0\0\1", 4)));
    world.until([&] {
      int unread = 0;
      REQUIRE(ioctl(world.far.socket, FIONREAD, &unread) == 0);
      return unread == 0;
    });
  }
}

// A near end that leaves in order, and does not read the last of what far has sent. Its socket.
net::Descriptor leave_with_much_unread(World& world, const std::string& host = "127.0.0.1") {
  const int closed = world.far.closed;
  TlsByHand near(world.join(world.far, &far_tls(), true, host));
  world.until([&] {
    near.hear();
    return near.tls.state() == finhold::tls::State::open;
  });
  near.say(http2_pair::client_preface());
  world.until([&] { return world.far.connection->ready(); });
  fill(world, near);
  near.say(http2_pair::frame(http2_pair::GOAWAY, 0, 0, std::string(8, '\0')));
  world.until([&] { return world.far.closed == closed + 1; });
  return std::move(near.raw);
}

}  // namespace

TEST_CASE("connection: those that were refused and do not go are bounded") {
  World world;
  const auto before = descriptors();
  std::vector<net::Descriptor> raws;
  for (int i = 0; i < 300; ++i) {
    raws.push_back(world.join(world.far));
    send_raw(raws.back(), "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n");
  }
  world.until([&] { return world.far.closed == 300; });
  CHECK(descriptors() - before == 300 + 48);
  raws.clear();
  world.until([&] { return world.far.gone; });
  CHECK(descriptors() == before);
}

// What sessions that are over have written is on its way when a near end is sent away.
TEST_CASE("connection: strangers that say goodbye take nothing from those who are known") {
  World world;
  world.options.goodbye_ms = 60'000;
  std::vector<net::Descriptor> raws;
  for (int i = 0; i < 300; ++i) {
    raws.push_back(world.join(world.far));
    send_raw(raws.back(), "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n");
  }
  world.until([&] { return world.far.closed == 300; });
  const auto before = descriptors();
  raws.push_back(leave_with_much_unread(world));
  CHECK(descriptors() - before == 2);
  raws.clear();
  world.until([&] { return world.far.gone; });
}

TEST_CASE("connection: those that leave in order and do not read the last of it are bounded") {
  World world;
  world.options.goodbye_ms = 60'000;
  const auto before = descriptors();
  std::vector<net::Descriptor> raws;
  // The last one is from elsewhere, and keeps its last bytes whoever has come and gone before.
  for (int i = 1; i <= 270; ++i) {
    raws.push_back(leave_with_much_unread(world, i == 270 ? "127.0.0.2" : "127.0.0.1"));
  }
  CHECK(descriptors() - before == 270 + 256);
  const auto other_end = net::remote_address(world.far.socket);
  REQUIRE(other_end);
  CHECK(other_end->text().starts_with("127.0.0.2:"));
  raws.clear();
  world.until([&] { return world.far.gone; });
  CHECK(descriptors() == before);
}

// Of requests that are processed in parts: what stands behind them.
TEST_CASE("connection: an end that comes in one piece with many requests comes after them") {
  constexpr std::uint32_t count = 60;
  std::string all = http2_pair::client_preface();
  std::string told = "ready";
  for (std::uint32_t i = 0; i < count; ++i) {
    all += http2_pair::connect(1 + 2 * i);
    told += ", connect a:1";
  }
  all += http2_pair::frame(http2_pair::GOAWAY, 0, 0, std::string(8, '\0'));
  told += ", goaway, closed: the other side closed the connection before its streams had ended";
  World world;
  SUBCASE("over TCP") {
    const net::Descriptor raw = world.join(world.far);
    send_raw(raw, all);
    REQUIRE(shutdown(raw.get(), SHUT_WR) == 0);
    world.until([&] { return world.far.closed == 1; });
    CHECK(world.far.told == told);
  }
  SUBCASE("over TLS") {
    TlsByHand near(world.join(world.far, &far_tls()));
    world.until([&] {
      near.hear();
      return near.tls.state() == finhold::tls::State::open;
    });
    near.say(all);
    near.tls.close();
    near.say({});
    world.until([&] { return world.far.closed == 1; });
    CHECK(world.far.told == told);
  }
  world.far.forget_all();
}

// Each turn has time for some of what many send at once, and who has little to say waits for a turn
// of its own, not for all of theirs.
TEST_CASE("connection: what costs much to read is read in parts, and others are in between") {
  World world;
  world.join();
  world.far.greets = [](End& end) { end.echoes = true; };
  End& end = world.near.open();
  world.until([&] { return end.answer == 200; });
  const Crowd crowd(world, 30);
  crowd.ask();
  end.sends = "question";
  end.go();
  world.until([&] { return end.received == "question"; });
  CHECK(crowd.unread() > crowd.asked() / 2);
  world.until([&] { return crowd.unread() == 0; });
  world.near.forget_all();
  world.far.forget_all();
}

namespace {

struct Turns final : net::TurnEnd {
  bool turn_end() override {
    ++count;
    return false;
  }
  int count = 0;
};

}  // namespace

TEST_CASE("connection: an address with many busy connections is not many times before another") {
  World world;
  world.join();
  world.far.greets = [](End& end) { end.echoes = true; };
  End& end = world.near.open();
  world.until([&] { return end.answer == 200; });
  const Crowd crowd(world, 100, "127.0.0.2");
  crowd.ask();
  Turns turns;
  world.poller.add_turn_end(turns);
  constexpr int until_it_is_behind = 5;
  world.until([&] { return turns.count > until_it_is_behind; });
  const int before = turns.count;
  end.sends = "question";
  end.go();
  world.until([&] { return end.received == "question"; });
  // There and back: 3 here. Behind the others, a few of which have a turn, it took 15.
  CHECK(turns.count - before < 8);
  world.poller.remove_turn_end(turns);
  world.near.forget_all();
  world.far.forget_all();
}

// A near end can have the deadlines of all its connections pass in one turn: it has only to send
// something by each at once.
TEST_CASE("connection: what costs much is read in parts also where many deadlines pass at once") {
  World world;
  constexpr net::Instant ping_every = 100;
  world.options.life = {std::chrono::milliseconds(ping_every), std::chrono::minutes(1)};
  const Crowd crowd(world, 30);
  const auto deadline =
      std::chrono::steady_clock::now() + std::chrono::milliseconds(ping_every + 1);
  std::this_thread::sleep_until(deadline);
  crowd.ask();
  world.until([] { return true; });  // one turn
  CHECK(crowd.unread() > crowd.asked() * 3 / 4);
  world.until([&] { return crowd.unread() == 0; });
  CHECK(!world.far.gone);
  world.far.forget_all();
}

TEST_CASE("connection: who says nothing is asked in time, however busy the others are") {
  World world;
  for (int i = 0; i < 40; ++i) {
    world.join(&near_tls(), &far_tls());
    world.near.open().sends = pattern(1'000'000);
  }
  const auto be_busy = [&] {
    for (const auto& end : world.near.ends) {
      if (end->sent == end->sends.size()) end->sent = 0;
      end->go();
    }
    for (const auto& end : world.far.ends) end->received.clear();
  };
  constexpr net::Instant ping_every = 2000;
  world.options.life.ping_every = std::chrono::milliseconds(ping_every);
  const net::Descriptor raw = world.join(world.far);
  send_raw(raw, http2_pair::client_preface());
  world.until([&] {
    be_busy();
    return world.far.connection->ready();
  });
  const net::Instant said_at = world.loop.now();
  const auto asked = [&] {
    int bytes = 0;
    REQUIRE(ioctl(raw.get(), FIONREAD, &bytes) == 0);
    return bytes > 0;
  };
  int late = 0;  // turns
  world.until([&] {
    be_busy();
    if (world.loop.now() <= said_at + ping_every / 2) {
      std::array<char, 1000> room{};  // the far end's preface
      static_cast<void>(recv(raw.get(), room.data(), room.size(), MSG_DONTWAIT));
      return false;
    }
    if (world.loop.now() > said_at + ping_every) ++late;
    return asked() || late == 50;
  });
  CHECK(asked());
  world.near.forget_all();
  world.far.forget_all();
}

TEST_CASE("connection: a table lets each go when its last stream is forgotten, in any order") {
  World world;
  std::vector<End*> ends;
  std::vector<net::Descriptor> raws;
  const auto before = descriptors();
  for (std::uint32_t i = 0; i < 6; ++i) {
    raws.push_back(world.join(world.far));
    send_raw(raws.back(), http2_pair::client_preface() + http2_pair::connect(1));
    world.until([&] { return world.far.ends.size() == i + 1; });
    ends.push_back(world.far.ends.back().get());
  }
  raws.clear();
  world.until([&] { return world.far.closed == 6; });
  CHECK(descriptors() == before);
  for (const std::size_t next : {2U, 5U, 0U, 4U, 1U}) {
    ends[next]->forget();
    world.pause(1);
    CHECK_FALSE(world.far.gone);
  }
  world.near.table->cut_all();
  world.far.table->cut_all();  // of one that is closed
  world.pause(1);
  CHECK_FALSE(world.far.gone);
  ends[3]->forget();
  world.until([&] { return world.far.gone; });
  CHECK(world.far.table->empty());
}
