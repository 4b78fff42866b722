// The sessions of one worker: it owns them, gives the busy ones their turns, looks after the quiet
// ones, and destroys those that are over once no callback of theirs can be on the stack.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/address.h"
#include "net/block_trimmer.h"
#include "net/descriptor.h"
#include "net/loop.h"
#include "net/poller.h"
#include "net/resolver.h"
#include "net/timers.h"
#include "relay/end_table.h"
#include "relay/gone_watch.h"
#include "relay/log_rate_limit.h"
#include "relay/own_dials.h"
#include "relay/route.h"
#include "relay/route_quota.h"
#include "relay/scratch.h"
#include "relay/session.h"
#include "relay/session_quota.h"
#include "relay/session_report.h"

namespace finhold::relay {

struct TableOptions {
  std::size_t buffer_per_flow = std::size_t{256} << 10;
  Splicing splicing = Splicing::automatic;
  std::size_t most_pipes = 16;
  net::Instant check_every_ms = 10'000;  // how often legs with unacknowledged bytes are looked at
};

// On the worker's thread.
class SessionTable final : private net::TurnEnd, private net::Timer {
 public:
  class Owner {
   public:
    // The last session is gone. Told at the end of a turn.
    virtual void on_empty() = 0;

    // What a session is to have instead of a dial; nullptr: it dials. It goes to server() if that
    // is known, to route().server if not, for client(). The server need not have answered yet: the
    // leg has room for a PROXY header, and fails when the answer is no.
    virtual std::unique_ptr<Leg> leg_to_server(const Session& /*session*/) { return nullptr; }

   protected:
    ~Owner() = default;
  };

  // Everything referred to outlives the table.
  SessionTable(net::Loop& loop, net::Poller& poller, net::Timers& timers, SessionQuota& quota,
               Owner& owner, const TableOptions& options);
  // Resets every session that is left.
  ~SessionTable();
  SessionTable(const SessionTable&) = delete;
  SessionTable& operator=(const SessionTable&) = delete;

  void open(const Route& route, net::Descriptor client, const base::Address& address);
  // The far end's way in: for a client that came to a near end. `servers`: exactly these are tried,
  // one at least; `via`: the near end's address, which stands in the ending line.
  void open(const Route& route, std::unique_ptr<Leg> client, const base::Address& client_address,
            const std::vector<base::Address>& servers, const base::Address& via);
  void cut_all();
  void check_every(net::Instant milliseconds) { check_every_ms_ = milliseconds; }
  // Each once, in no order that means anything.
  [[nodiscard]] std::vector<const Route*> routes_in_use() const;
  [[nodiscard]] bool empty() const { return sessions_.empty(); }

  // Looks at every session: some 50 ns each.
  [[nodiscard]] SessionReport report() const;

  // For sessions.
  void queue(Session& session);
  void retire(Session& session);
  // Its dial is over, well or not.
  void note_dial(const Session& session, net::Instant took_ms);
  RouteQuota& quota_of(const Route& route);
  // Of who gets the end of that flow of the session.
  [[nodiscard]] core::EndNeeds end_needs(const Session& session, base::Flow flow);
  void learn(const Session& session, base::Flow flow, core::EndLesson lesson);
  // How many bytes of one flow may be moved before others have their turn: the bulk flows of a turn
  // share most_per_turn, so that they do not raise the latency of small ones however many they are.
  [[nodiscard]] std::size_t budget() const { return budget_; }
  void note_bulk() { ++bulk_flows_; }
  [[nodiscard]] net::Loop& loop() { return loop_; }
  [[nodiscard]] net::Poller& poller() { return poller_; }
  [[nodiscard]] net::Timers& timers() { return timers_; }
  [[nodiscard]] net::Resolver& resolver() { return resolver_; }
  [[nodiscard]] GoneWatch& gone_watch() { return gone_watch_; }
  [[nodiscard]] Scratch& scratch() { return scratch_; }
  [[nodiscard]] LogRateLimit& refusals() { return refusals_; }  // lines about refused clients
  [[nodiscard]] LogRateLimit& dial_failures() { return dial_failures_; }  // lines about servers
  [[nodiscard]] LogRateLimit& long_holds() { return long_holds_; }        // lines about held FINs
  [[nodiscard]] OwnDials& own_dials() { return quota_.own_dials(); }
  std::unique_ptr<Leg> leg_to_server(const Session& session) {
    return owner_.leg_to_server(session);
  }

 private:
  // About a millisecond of splicing. Less is worse for everybody: bulk that stays in its receive
  // queue for the next turn closes its sender's window, and is fetched in smaller pieces. With 16
  // bulk sessions beside 64 small ones 1 MiB made the p99 of the small ones longer than 4 MiB did.
  static constexpr std::size_t most_per_turn = std::size_t{4} << 20;

  Session& add(const Route& route);
  template <typename Start>
  void start(const Route& route, const Start& start);
  bool turn_end() override;
  void on_time() override;
  void reap();

  net::Loop& loop_;
  net::Poller& poller_;
  net::Timers& timers_;
  SessionQuota& quota_;
  Owner& owner_;
  net::Instant check_every_ms_;
  net::Resolver resolver_;
  Scratch scratch_;
  net::BlockTrimmer trimmer_;
  GoneWatch gone_watch_;
  LogRateLimit refusals_;
  LogRateLimit dial_failures_;
  LogRateLimit long_holds_;
  EndTable ends_;
  net::Instant advised_at_ = 0;  // that sessions are lost behind ends; 0: never
  std::size_t budget_ = most_per_turn;
  std::size_t bulk_flows_ = 0;  // that moved in this turn
  std::vector<std::unique_ptr<Session>> sessions_;
  std::vector<Session*> queue_;    // have more to do
  std::vector<Session*> running_;  // queue_ of the turn that ends now
  std::vector<Session*> retired_;
  std::unordered_map<std::string, RouteQuota*> route_quotas_;  // those of quota_ that were needed
  std::unordered_map<std::string, RouteCounts> done_;          // of retired sessions, and all dials
};

}  // namespace finhold::relay
