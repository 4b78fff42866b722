// One relayed connection: two legs, two flows, one policy. Every event of the session comes in
// here; the bytes are moved, the policy is stepped, and its actions are carried out in a fixed
// order.
//
// Life: announcing (only with accept_proxy: the client's PROXY header is awaited) -> dialing (the
// client's bytes wait in the kernel) -> relaying (also while a leg that is left still gets what
// came from the one that failed) -> closing (both flows have ended; the kernel still has bytes for
// a slow reader, or, under tproxy, waits for the last acknowledgement) -> retired (the table
// destroys it after the turn).
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/side.h"
#include "core/deadlines.h"
#include "core/end_lessons.h"
#include "core/ending.h"
#include "core/fin_policy.h"
#include "net/dialer.h"
#include "net/timers.h"
#include "relay/flow_mover.h"
#include "relay/own_dials.h"
#include "relay/route.h"
#include "relay/session_report.h"
#include "relay/tcp_leg.h"

namespace finhold::relay {

class SessionTable;

// On the worker's thread. Belongs to its table.
class Session final : private Leg::Owner, private net::Dialer::Owner, private net::Timer {
 public:
  // `route` and `table` outlive it.
  Session(SessionTable& table, const Route& route, std::uint64_t id);

  // Takes an accepted socket, and dials.
  void start(net::Descriptor client, const base::Address& address);

  // The same for a client leg that is no connection of its own; see SessionTable::open().
  void start(std::unique_ptr<Leg> client, const base::Address& address,
             const std::vector<base::Address>& servers, const base::Address& via);

  // Goes on with flows whose budget was used up.
  void resume();

  // finhold stops: a session that is not finished is reset on both sides.
  void cut();

  // For a session that GoneWatch looks after: asks again about the side that is half-closed.
  void look_whether_gone();

  // Looks whether a leg with unacknowledged bytes has vanished.
  void check_answers();

  [[nodiscard]] bool retired() const { return phase_ == Phase::retired; }

  // What the ending line tells; see session_log.h.
  [[nodiscard]] std::uint64_t id() const { return id_; }
  [[nodiscard]] const Route& route() const { return *route_; }
  [[nodiscard]] const base::Address& client() const { return client_; }
  // Who really connected: on a route with accept_proxy it may have announced another client, and
  // the near end of a tunnel has.
  [[nodiscard]] const base::Address& via() const { return via_ ? *via_ : client_; }
  [[nodiscard]] bool by_tunnel() const {
    return taken_[base::index(base::Side::client)] != nullptr;
  }
  // Once it is dialed; where a client was going that did not come to the listener, from the start.
  [[nodiscard]] const base::Address* server() const { return server_known_ ? &server_ : nullptr; }
  [[nodiscard]] const core::FinPolicy& policy() const { return policy_; }
  [[nodiscard]] core::Ending ending() const { return ending_; }
  // Bytes of a flow that its sink has taken.
  [[nodiscard]] std::uint64_t total(base::Flow flow) const {
    return movers_[base::index(flow)].total();
  }
  // Of a session that has retired: those that the other end has, as far as is known, and those that
  // its source gave. A leg that closed in order counts as having delivered: the kernel goes on.
  [[nodiscard]] std::uint64_t delivered(base::Flow flow) const {
    const std::size_t which = base::index(flow);
    const auto lost = static_cast<std::uint64_t>(lost_[which] ? in_kernel_[which] : 0);
    return total(flow) - std::min(total(flow), lost);
  }
  [[nodiscard]] std::uint64_t taken(base::Flow flow) const {
    return total(flow) + movers_[base::index(flow)].dropped();
  }
  // The flow that ended first, if any has.
  [[nodiscard]] bool any_end() const { return any_end_; }
  [[nodiscard]] base::Flow first_end() const { return first_end_; }
  [[nodiscard]] core::Gone gone() const { return gone_; }
  [[nodiscard]] core::Instant held_ms() const { return held_ms_; }
  // Where the first end was held by "auto": what was known of who would get it, and for how long
  // nothing was to come the other way; 0: it was not.
  [[nodiscard]] const core::EndNeeds& end_needs() const { return end_needs_; }
  [[nodiscard]] core::Instant quiet_ms() const { return stamps_.quiet_ms; }
  [[nodiscard]] core::Instant duration_ms() const { return now() - started_at_; }

 private:
  friend class SessionTable;
  friend class GoneWatch;
  friend void count_done(const Session& session, RouteCounts& counts);
  friend void count_now(const Session& session, RouteCounts& counts);
  friend SessionState state_of(const Session& session, net::Instant now);
  static constexpr std::uint32_t unwatched = ~std::uint32_t{0};
  // session.cc has them in a table.
  enum class Phase : std::uint8_t { announcing, dialing, relaying, closing, retired };

  void on_leg_ready(base::Side side) override;
  void on_leg_closing(base::Side side) override;
  void on_dialed(net::Descriptor fd, base::Address server, bool registered) override;
  void on_dial_failed(base::Error error, bool unresolved) override;
  void on_time() override;

  void dial(const std::vector<base::Address>& servers);
  void client_waits();
  void await_announcement();
  void read_announcement();
  void refuse_announcement(const char* why);
  // False: the client is refused, and the session over.
  bool admit();
  bool refuse_client(core::Ending why);
  [[nodiscard]] base::Network counted_as() const {
    return base::Network::around(client_, route_->each_client.prefix_v6);
  }
  [[nodiscard]] std::optional<std::string> announcement() const;
  void take(base::Side side, std::unique_ptr<Leg> leg);
  void relay(const std::string& header);
  void advance();
  bool move(base::Flow flow);
  bool move_both();
  void find_failures();
  [[nodiscard]] bool has_untold_failure();
  void note_end(base::Flow flow);
  void step(core::Event event);
  void apply(const core::Actions& actions);
  void leg_failed(base::Side side);
  void note_failure(base::Side side);
  void note_gone_by_failure(base::Side side);
  [[nodiscard]] bool delivery_is_left();
  void look_whether_delivered();
  [[nodiscard]] bool only_reader_waited_for() const;
  void look_whether_gone(bool found_before);
  void nurse_unread_end();
  void watch_deadlines();
  void relaying_on_time();
  void watch_held_end(base::Flow flow);
  void hear(base::Flow flow, bool bytes, bool end);
  void note_delivery_of_held(base::Flow flow, int on_their_way);
  void learn(core::EndLesson lesson);
  void tell_of_a_long_hold();
  void note_deliveries();
  void note_undelivered(base::Side sink);
  void close_legs();
  void watch_closing();
  void closing_on_time();
  void close_legs_with_lost_fin();
  [[nodiscard]] bool awaits_delivery() const { return route_->intercept == Intercept::tproxy; }
  void abort(core::Ending ending);
  void retire();

  [[nodiscard]] Leg& leg(base::Side side) {
    const auto& taken = taken_[base::index(side)];
    return taken != nullptr ? *taken : tcp_legs_[base::index(side)];
  }
  [[nodiscard]] core::Instant now() const;

  SessionTable* table_;
  const Route* route_;
  std::uint64_t id_;
  std::array<TcpLeg, 2> tcp_legs_;
  std::array<std::unique_ptr<Leg>, 2> taken_;  // each in place of a TcpLeg, for life
  std::array<FlowMover, 2> movers_;
  core::FinPolicy policy_;
  core::Stamps stamps_;
  std::unique_ptr<net::Dialer> dialer_;  // while dialing
  std::unique_ptr<base::Address> via_;   // if it announced a client
  core::Instant started_at_;
  std::array<int, 2> in_kernel_{};  // by flow: bytes on their way, at the last note_deliveries()
  core::Instant held_since_ = 0;
  core::Instant held_ms_ = 0;             // how long the FIN of the first end was held
  std::uint32_t slot_ = 0;                // in the table
  std::uint32_t watch_slot_ = unwatched;  // in GoneWatch
  base::Address client_;                  // as announced, if it was
  base::Address server_;  // until dialed: where the client was going, if it is known
  Phase phase_ = Phase::dialing;
  core::Ending ending_ = core::Ending::finished;
  core::Gone gone_ = core::Gone::none;
  base::Flow first_end_ = base::Flow::to_server;
  std::uint8_t look_again_ms_ = 0;  // while delivery is waited for
  std::array<bool, 2> lost_{};      // by flow: its sink's leg was, with what in_kernel_ says
  OwnDials::Entry own_dial_;        // of the server leg, while it is in the table's own_dials()
  core::EndWatch end_watch_;        // of the FIN that is held, if it is to teach anything
  core::EndNeeds end_needs_;        // as they were known when it was held
  std::uint16_t short_quiet_ms_ = 0;
  bool nurses_unread_end_ : 1 = false;
  bool any_end_ : 1 = false;
  bool holding_ : 1 = false;
  bool was_held_ : 1 = false;  // and perhaps is still
  bool announced_ : 1 = false;
  bool server_known_ : 1 = false;
  bool counted_ : 1 = false;  // as one of its client's
  bool queued_ : 1 = false;   // in the table's queue of sessions with more to do
  bool told_of_long_hold_ : 1 = false;
};

// What an idle session costs, besides the kernel's two sockets: this, its place in the table, and
// the overhead of one allocation. A session that waits owns no buffer, no pipe and no libuv handle.
static_assert(sizeof(Session) <= 512);

}  // namespace finhold::relay
