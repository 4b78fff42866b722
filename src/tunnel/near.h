// The near end of one tunnel in one worker: its connections, and legs that are streams of them.
//
// Some connections with room for another session are kept open at any time, so that a session costs
// no dial. A session goes to the least loaded of them; one that finds no room waits its turn, and
// the more wait the more is dialed. Who loses a connection comes back after a time that grows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/duration.h"
#include "net/loop.h"
#include "net/poller.h"
#include "net/resolver.h"
#include "net/timers.h"
#include "relay/leg.h"
#include "relay/log_rate_limit.h"
#include "tunnel/backoff.h"
#include "tunnel/connection_table.h"
#include "tunnel/near_connection.h"
#include "tunnel/near_leg.h"
#include "tunnel/settings.h"

namespace finhold::tunnel {

// On the worker's thread. Outlives its legs, and is outlived by the connections' table.
class Near final : private NearConnection::Owner, private NearLeg::Owner {
 public:
  // Everything referred to outlives it; `tls` is null if settings.tls is nothing.
  Near(const TunnelSettings& settings, const tls::Context* tls, ConnectionTable& connections,
       net::Loop& loop, net::Poller& poller, net::Timers& timers, net::Resolver& resolver);
  Near(const Near&) = delete;
  Near& operator=(const Near&) = delete;
  ~Near();

  // Dials what is to be open.
  void start();

  // A leg to `authority` ("host:port", "[v6]:port") in the name of `client`. It waits that long for
  // a connection and for the answer of the far end, and fails without one; core::Ending says why.
  std::unique_ptr<relay::Leg> leg(const std::string& authority, const base::Address& client,
                                  base::Milliseconds connect_timeout);

  // Nothing is kept open any more: each connection closes in order after its last session. Legs
  // that wait, and those that are still made, get their connection.
  void drain();

  // Connections that are more than are kept open, and have had no session for that long, are
  // closed.
  void close_unused_after(net::Instant milliseconds) { unused_for_ms_ = milliseconds; }

  // Drained, and nothing is left of it.
  [[nodiscard]] bool is_over() const { return draining_ && links_.empty() && waiting_.empty(); }

  // Connections that are ready, or were and still have sessions.
  [[nodiscard]] std::size_t connections() const { return ready_; }
  // On all of them.
  [[nodiscard]] std::size_t streams() const;
  [[nodiscard]] const std::string& name() const { return settings_.name; }

 private:
  // A deadline of its own.
  class Alarm final : public net::Timer {
   public:
    Alarm(net::Timers& timers, Near& near, void (Near::*what)())
        : net::Timer(timers), near_(near), what_(what) {}
    using net::Timer::arm;
    using net::Timer::armed;
    using net::Timer::disarm;

   private:
    void on_time() override { (near_.*what_)(); }

    Near& near_;
    void (Near::*what_)();
  };

  void on_link_ready(NearConnection& link) override;
  void on_link_changed(NearConnection& link) override;
  void on_link_retired(NearConnection& link) override;
  void on_link_over(NearConnection& link, const std::string& why) override;
  void on_leg_back() override { settle(); }
  void on_refused_again(NearConnection& link) override;
  void on_answered(NearConnection& link) override;

  void settle();
  void serve();
  void fill();
  void dismiss_all();
  void close_unused();
  void end_rests();
  void hold_off(const NearConnection& link);
  [[nodiscard]] NearConnection* least_loaded(const Connection* last);
  [[nodiscard]] std::size_t wanted() const;
  [[nodiscard]] static bool is_useless(NearConnection& link);
  void note_room(NearConnection& link);
  void note_load(NearConnection& link);
  [[nodiscard]] bool said_lately(const std::string& why);
  void log_useless();
  void log_over(const NearConnection& link, const std::string& why);

  const TunnelSettings& settings_;
  net::Loop& loop_;
  net::Timers& timers_;
  NearConnection::Shared shared_;
  Backoff back_off_;
  relay::LogRateLimit lines_;  // about failures
  std::string failure_;        // of the attempts since the last one that succeeded
  net::Instant say_again_at_ = 0;
  std::uint64_t unsaid_ = 0;  // attempts that failed, and were not logged
  Alarm redial_;              // armed: nothing is dialed until then
  Alarm surplus_;             // when a connection may have been unused for long
  Alarm rest_;                // when one has rested
  NearQueue waiting_;
  std::vector<std::unique_ptr<NearConnection>> links_;
  std::vector<NearConnection*> with_room_;
  std::size_t starting_ = 0;  // links that are not ready yet
  std::size_t ready_ = 0;     // that were ready and are not over
  net::Instant unused_for_ms_ = 60'000;
  bool draining_ = false;
  bool settling_ = false;
};

}  // namespace finhold::tunnel
