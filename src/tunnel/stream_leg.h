// A leg that is a stream of a tunnel: END_STREAM is its FIN, RST_STREAM(CONNECT_ERROR) its RST
// (RFC 9113 section 8.5). A loss of the connection is a failure, never an end.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "core/ending.h"
#include "http2/stream.h"
#include "relay/leg.h"
#include "tunnel/transport.h"

namespace finhold::tunnel {

// On the worker's thread. Its near and its far kind differ in how they begin.
class StreamLeg : public relay::Leg, protected http2::Stream::Events, private ResetQueue::Entry {
 public:
  ~StreamLeg() override;
  StreamLeg(const StreamLeg&) = delete;
  StreamLeg& operator=(const StreamLeg&) = delete;

  Read read(std::span<std::byte> into) final;
  // A stream knows no urgent bytes (DESIGN.md R10): they go as any other, at their place.
  std::size_t write(std::span<const std::byte> bytes, bool urgent) final;
  [[nodiscard]] bool holds_bytes() const final;
  [[nodiscard]] bool end_arrived() const final;
  void send_fin() final;
  // Those that are not even in the connection's buffers; so for the end.
  [[nodiscard]] int unacknowledged() const final;
  [[nodiscard]] int undelivered() const final;
  // What has gone out may have been lost with the connection.
  [[nodiscard]] bool delivered() const final;
  [[nodiscard]] bool close_in_order(bool delivered) final;
  void close_now() final;
  void reset() final;
  [[nodiscard]] core::Ending ending_of_failure(base::Side side) const final;

 protected:
  // Open, but without a stream: it neither gives nor takes anything.
  StreamLeg() { open_ = true; }

  // From now on it is this stream, which may have got bytes already. `transport` outlives it. What
  // step_back() has kept is written to it.
  void carry(Transport& transport, http2::Stream& stream);
  // Bytes may be written, and the end be sent.
  void open_way_in();
  // Without a stream again, as before carry(): what was written, and the end, is for the next one.
  // Requires what http2::Stream::take_written() does.
  void step_back();
  // Fails without a word of the stream's; its owner is not told.
  void fail(int code, core::Ending why);
  // Its owner is told at the end of the turn, or of a later one. Requires carry().
  void tell_owner_later() { transport_->tell_later(*this); }
  // The stream is not wanted any more, as http2::Stream::forget().
  void let_go();

  // Nothing: it has none yet, or none any more.
  [[nodiscard]] http2::Stream* stream() { return stream_; }
  // Something was done with the stream; requires carry().
  void touch() { transport_->touch(); }

  // The leg is not open any more.
  virtual void on_closed() {}

  void on_answer(int /*status*/) override {}
  void on_readable() final;
  void on_writable() final;
  void on_sent() final;
  void on_reset(http2::ErrorCode code) override;

 private:
  void tell() final { tell_owner(); }
  void finish();
  void fail_as_closed();
  void close();

  Transport* transport_ = nullptr;
  http2::Stream* stream_ = nullptr;
  std::optional<http2::RingBuffer> written_;  // between step_back() and carry()
  core::Ending why_failed_ = core::Ending::tunnel_lost;
  bool failed_by_reset_ = false;      // by the other side's; then why_failed_ says nothing
  bool way_in_ = false;               // open_way_in() was called
  bool fin_ = false;                  // send_fin() was called
  bool sent_ = false;                 // all, the end included
  bool other_takes_nothing_ = false;  // after its end, in order
};

}  // namespace finhold::tunnel
