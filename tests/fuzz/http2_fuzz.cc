// Any bytes as what a client sends to the far end: streams that are answered and echoed, never a
// crash, and never more kept than was promised.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "http2/endpoint.h"

using finhold::base::BlockPool;
using finhold::http2::ConnectRequest;
using finhold::http2::Endpoint;
using finhold::http2::ErrorCode;
using finhold::http2::Settings;
using finhold::http2::Stream;

namespace {

// Sends back what it gets; the port of the authority says how it ends.
struct Echo final : Stream::Events {
  Stream* stream = nullptr;
  bool stalled = false;

  void on_answer(int /*status*/) override { FINHOLD_CHECK(false); }
  void on_readable() override { echo(); }
  void on_writable() override { echo(); }
  void on_reset(ErrorCode /*code*/) override {
    while (!stream->readable().empty()) stream->consumed(stream->readable().size());
    stream->forget();
    stream = nullptr;
  }

  void echo() {
    while (!stalled && !stream->readable().empty() && stream->writable()) {
      const std::size_t count = stream->write(stream->readable());
      if (count == 0) break;
      stream->consumed(count);
    }
    if (!stream->ended()) return;
    stream->finish();
    stream->forget();
    stream = nullptr;
  }
};

struct Far final : Endpoint::Events {
  std::vector<std::unique_ptr<Echo>> echoes;

  void on_connect(Stream& stream, const ConnectRequest& request) override {
    FINHOLD_CHECK(request.authority.size() + request.forwarded.size() <= 8192);
    switch (request.authority.back()) {
      case '1':
        stream.respond(403);
        return stream.forget();
      case '2':
        stream.reset(ErrorCode::connect_error);
        return stream.forget();
      case '3':
        return stream.forget();
      default:
        break;
    }
    echoes.push_back(std::make_unique<Echo>());
    Echo& echo = *echoes.back();
    echo.stream = &stream;
    echo.stalled = request.authority.back() == '4';
    stream.set_events(echo);
    if (request.authority.back() != '5') stream.respond(200);
  }
  void on_goaway(std::int32_t /*last*/, ErrorCode /*code*/) override {}
  void on_ping_ack(std::uint64_t /*token*/) override {}
};

}  // namespace

// The first byte: how many bytes are fed at a time.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  constexpr std::string_view preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
  BlockPool pool(Endpoint::least_window);
  Settings settings;
  settings.max_streams = 16;
  Far far;
  Endpoint http2(Endpoint::Role::far, settings, pool, far);
  std::array<std::byte, 20'000> output{};
  FINHOLD_CHECK(http2.feed(std::as_bytes(std::span(preface)), 0));

  const std::size_t step = data[0] == 0 ? size : data[0];
  std::uint64_t now = 0;
  for (std::size_t at = 1; at < size; at += step) {
    const std::vector<std::uint8_t> piece(data + at, data + std::min(size, at + step));
    now += 10;
    bool well = http2.feed(std::as_bytes(std::span(piece)), now);
    // What is kept behind many requests is processed before more comes, or behind it.
    const bool at_once = at + step >= size || piece.front() % 2 == 0;
    for (std::size_t i = 0; well && at_once && http2.has_unprocessed(); ++i) {
      FINHOLD_CHECK(i < size);
      well = http2.feed({}, now);
    }
    FINHOLD_CHECK(well == http2.failed().empty());
    for (int i = 0; i < 100 && http2.wants_write(); ++i) {
      FINHOLD_CHECK(http2.produce(output) <= output.size());
    }
    FINHOLD_CHECK(http2.streams() <= 2 * std::size_t{settings.max_streams});
    if (!http2.failed().empty()) break;
  }
  http2.lose();
  for (const auto& echo : far.echoes)
    FINHOLD_CHECK(echo->stream == nullptr || echo->stream->ended());
  return 0;
}
