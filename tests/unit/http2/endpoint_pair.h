// A near and a far end joined in memory, and frames made by hand.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "http2/endpoint.h"

namespace http2_pair {

using finhold::base::BlockPool;
using finhold::http2::ConnectRequest;
using finhold::http2::Endpoint;
using finhold::http2::ErrorCode;
using finhold::http2::Settings;
using finhold::http2::Stream;

// What one end of a stream is told, in order: "answer 200, bytes, end, reset 10". Consecutive
// "bytes" are one.
struct End final : Stream::Events {
  Stream* stream = nullptr;
  std::string told;
  std::string last;  // of these
  std::string received;
  int writable = 0;  // how often it was told
  bool reads = true;
  bool ended = false;

  explicit End(Stream* of = nullptr) : stream(of) {}
  End(const End&) = delete;
  End& operator=(const End&) = delete;
  virtual ~End() = default;

  void say(const std::string& what) {
    if (what == "bytes" && last == what) return;
    told += (told.empty() ? "" : ", ") + what;
    last = what;
  }
  void on_answer(int status) override { say("answer " + std::to_string(status)); }
  void on_readable() override {
    if (reads) read();
  }
  void on_writable() override { ++writable; }
  void on_reset(ErrorCode code) override {
    if (reads) read();
    say("reset " + std::to_string(static_cast<unsigned>(code)));
  }

  // Takes all that is there.
  void read() {
    while (!stream->readable().empty()) take(SIZE_MAX);
    if (stream->ended() && !ended) {
      ended = true;
      say("end");
    }
  }
  // Takes a part of it, and returns how much.
  std::size_t take(std::size_t most) {
    const auto bytes = stream->readable();
    const std::size_t count = std::min(most, bytes.size());
    received.append(reinterpret_cast<const char*>(bytes.data()), count);
    if (count > 0) say("bytes");
    stream->consumed(count);
    return count;
  }
  std::size_t write(std::string_view text) const {  // NOLINT(modernize-use-nodiscard)
    return stream->write(std::as_bytes(std::span(text)));
  }
};

struct Side final : Endpoint::Events {
  std::vector<std::unique_ptr<End>> ends;
  std::string told;
  std::optional<int> answers = 200;  // what a request is answered at once
  bool reads = true;
  Endpoint http2;

  // A near end that far knows, unless it is a stranger.
  Side(Endpoint::Role role, const Settings& settings, BlockPool& pool, bool stranger = false)
      : http2(role, settings, pool, *this) {
    if (role == Endpoint::Role::far && !stranger) http2.prove();
  }
  virtual ~Side() = default;
  Side(const Side&) = delete;
  Side& operator=(const Side&) = delete;

  End& open(const ConnectRequest& request) {
    ends.push_back(std::make_unique<End>());
    ends.back()->stream = http2.open(request, *ends.back());
    return *ends.back();
  }

  void say(const std::string& what) { told += (told.empty() ? "" : ", ") + what; }
  void on_connect(Stream& stream, const ConnectRequest& request) override {
    say("connect " + std::string(request.authority) + "|" + std::string(request.forwarded) + "|" +
        std::string(request.token));
    ends.push_back(std::make_unique<End>(&stream));
    ends.back()->reads = reads;
    stream.set_events(*ends.back());
    if (answers) stream.respond(*answers);
  }
  void on_goaway(std::int32_t last, ErrorCode code) override {
    say("goaway " + std::to_string(last) + " " + std::to_string(static_cast<unsigned>(code)));
  }
  void on_ping_ack(std::uint64_t token) override { say("ping " + std::to_string(token)); }

  [[nodiscard]] bool feed(std::string_view bytes, std::uint64_t now = 0) {
    bool goes_on = http2.feed(std::as_bytes(std::span(bytes)), now);
    while (goes_on && http2.has_unprocessed()) goes_on = http2.feed({}, now);
    return goes_on;
  }
  // All that there is to send.
  std::string sends() {
    std::string all;
    std::vector<std::byte> buffer(400'000);
    while (http2.wants_write()) {
      const std::size_t count = http2.produce(buffer);
      if (count == 0) break;
      all.append(reinterpret_cast<const char*>(buffer.data()), count);
    }
    return all;
  }
};

// How many bytes are fed at a time; 0: all of them.
using Chunks = std::function<std::size_t()>;

struct Pair {
  BlockPool pool;
  Side near;
  Side far;
  Chunks chunks = [] { return std::size_t{0}; };
  std::string to_far, to_near;  // all that has gone over the wire

  explicit Pair(const Settings& settings = {}, std::size_t window = Endpoint::least_window)
      : pool(window),
        near(Endpoint::Role::near, settings, pool),
        far(Endpoint::Role::far, settings, pool) {}

  // Until neither has anything to send.
  void exchange() {
    for (;;) {
      const std::string there = near.sends();
      const std::string back = far.sends();
      if (there.empty() && back.empty()) return;
      to_far += there;
      to_near += back;
      feed(far, there);
      feed(near, back);
    }
  }

  void feed(Side& side, std::string_view bytes) const {
    while (!bytes.empty()) {
      const std::size_t chunk = chunks();
      const auto now = chunk == 0 ? bytes : bytes.substr(0, chunk);
      // From memory of its own, so that AddressSanitizer sees what is used for too long.
      const std::vector<char> copy(now.begin(), now.end());
      if (!side.feed({copy.data(), copy.size()})) return;
      bytes.remove_prefix(now.size());
    }
  }
};

// Frames by hand (RFC 9113 section 4.1).
enum Type : std::uint8_t {
  DATA = 0,
  HEADERS = 1,
  PRIORITY = 2,
  RST_STREAM = 3,
  SETTINGS = 4,
  PUSH_PROMISE = 5,
  PING = 6,
  GOAWAY = 7,
  WINDOW_UPDATE = 8,
  CONTINUATION = 9
};
enum Flag : std::uint8_t { END_STREAM = 1, ACK = 1, END_HEADERS = 4, PADDED = 8 };

std::string number(std::uint32_t value);
std::string frame(unsigned type, unsigned flags, std::uint32_t stream, std::string_view payload);
// A header block of literals that are not indexed, without Huffman coding (RFC 7541 section 6.2.2).
std::string fields(const std::vector<std::pair<std::string, std::string>>& list);
std::string connect(std::uint32_t stream, const std::string& authority = "a:1",
                    unsigned flags = END_HEADERS);
// The preface and SETTINGS of a client; the SETTINGS of a server.
std::string client_preface();
std::string server_preface();

struct Frame {
  unsigned type;
  unsigned flags;
  std::uint32_t stream;
  std::string payload;
};
// The frames of what a side has sent, without a client's preface.
std::vector<Frame> frames(std::string_view bytes);
// "SETTINGS 0/0 HEADERS 4/1 DATA 1/1": type, flags and stream of each, but for SETTINGS and
// WINDOW_UPDATE.
std::string summary(std::string_view bytes);
std::uint32_t number_in(std::string_view four_bytes);

// Bytes that tell where they stand.
std::string pattern(std::size_t size, unsigned seed = 1);

}  // namespace http2_pair
