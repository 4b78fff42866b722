// The near end's leg: waits for a connection of the tunnel, then for the far end's answer.
#pragma once

#include <list>
#include <string>

#include "base/address.h"
#include "net/timers.h"
#include "tunnel/near_connection.h"
#include "tunnel/settings.h"
#include "tunnel/stream_leg.h"

namespace finhold::tunnel {

class NearLeg;

// Those that wait for a connection, the longest first.
using NearQueue = std::list<NearLeg*>;

// On the worker's thread.
class NearLeg final : public StreamLeg, private net::Timer {
 public:
  class Owner {
   public:
    // A leg's stream was refused before anything of it was processed: it stands in the queue again,
    // as the first.
    virtual void on_leg_back() = 0;
    // A leg's request was refused by a connection that stays, and before by that or another one.
    virtual void on_refused_again(NearConnection& link) = 0;
    // The far end has answered a leg's request, whatever the answer is.
    virtual void on_answered(NearConnection& link) = 0;

   protected:
    ~Owner() = default;
  };

  // Stands in `queue` from now on; leaves it when it has a stream, has failed or is closed. Fails
  // unless the far end has answered by `until`. What is referred to outlives it.
  NearLeg(const TunnelSettings& settings, NearQueue& queue, Owner& owner, net::Timers& timers,
          std::string authority, const base::Address& client, net::Instant until);
  NearLeg(const NearLeg&) = delete;
  NearLeg& operator=(const NearLeg&) = delete;
  ~NearLeg() override;

  // Requires that it stands in the queue, and a link with a connection. Opens its stream;
  // link.resets then counts one more if the stream is lost with the connection. False: the
  // connection opens none now.
  bool open_on(NearConnection& link);

  // The connection of the last stream that was refused; it may be gone.
  [[nodiscard]] const Connection* refused_by() const { return refused_by_; }

 private:
  void on_answer(int status) override;
  void on_reset(http2::ErrorCode code) override;
  void on_closed() override;
  void on_time() override;
  void try_again();
  void leave_queue();
  void give_up(int code, core::Ending why);

  const TunnelSettings& settings_;
  NearQueue& queue_;
  Owner& owner_;
  NearQueue::iterator place_;  // queue_.end(): it has left
  std::string authority_;
  base::Address client_;
  NearConnection* link_ = nullptr;  // of the stream, until that has come to its end
  const Connection* refused_by_ = nullptr;
  int tries_left_;
};

}  // namespace finhold::tunnel
