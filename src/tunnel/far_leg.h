// The far end's client leg: a stream that a near end has opened, and that waits for our answer.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/address.h"
#include "tunnel/allow_list.h"
#include "tunnel/far_connection.h"
#include "tunnel/settings.h"
#include "tunnel/stream_leg.h"

namespace finhold::tunnel {

// What a session was let in with, to be judged again after a reload.
struct FarOpened {
  FarConnection* by = nullptr;  // and which of its legs it is; nullptr: its connection is gone
  std::size_t slot = 0;
  const FarSettings* under = nullptr;  // outlives the leg
  Destination destination;
  std::vector<base::Address> servers;  // that were admitted
  std::unique_ptr<FarPending> place;   // until the request is answered
};

// On the worker's thread.
class FarLeg final : public StreamLeg {
 public:
  // Requires that the stream was not answered.
  FarLeg(Transport& transport, http2::Stream& stream);
  FarLeg(const FarLeg&) = delete;
  FarLeg& operator=(const FarLeg&) = delete;
  ~FarLeg() override;

  FarOpened opened;

  // It would not be opened any more: its session is reset, on both sides.
  void revoke();

  void accept() override;
  void refuse(core::Ending why) override;

  // Of a near end that has closed: RST_STREAM(NO_ERROR) after its END_STREAM. RFC 9113 section 8.1
  // lets servers say that they want no more of a request; from a client it is what close() is for
  // TCP. Its bytes and its end go on to the server, which learns the rest when it writes, or by
  // keepalive: after that time the stream has failed.
  bool check_answers(std::uint64_t vanished_after_ms) override;

 private:
  void on_reset(http2::ErrorCode code) override;
  void on_closed() override;

  std::optional<std::chrono::steady_clock::time_point> closed_at_;
};

}  // namespace finhold::tunnel
