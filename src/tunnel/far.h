// The far end in one worker: listens for near ends, and makes sessions of what they ask for.
//
// A request becomes a session if its token is right, `allow` lets it in, and there is room. Names
// are looked up here, and exactly the addresses that were admitted are dialed. Every refusal is a
// status for the near end and a line in the log, which names the reason and never a secret.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/error.h"
#include "base/log.h"
#include "net/descriptor.h"
#include "net/listener.h"
#include "net/loop.h"
#include "net/poller.h"
#include "net/timers.h"
#include "relay/log_rate_limit.h"
#include "relay/session_table.h"
#include "tunnel/allow_list.h"
#include "tunnel/connection_table.h"
#include "tunnel/far_answer.h"
#include "tunnel/far_connection.h"
#include "tunnel/far_leg.h"
#include "tunnel/far_look_up.h"
#include "tunnel/settings.h"
#include "tunnel/strangers.h"

namespace finhold::tunnel {

// On the worker's thread.
class Far final : private net::Listener::Owner,
                  private FarConnection::Owner,
                  private FarLookUp::Owner,
                  private net::Timer,
                  private net::TurnEnd {
 public:
  // Everything referred to outlives it; `tls` is null if settings.tls is nothing. `listening` is
  // non-blocking.
  Far(const FarSettings& settings, const tls::Context* tls, net::Descriptor listening,
      ConnectionTable& connections, relay::SessionTable& sessions, relay::SessionQuota& quota,
      net::Loop& loop, net::Poller& poller, net::Timers& timers);
  Far(const Far&) = delete;
  Far& operator=(const Far&) = delete;
  ~Far();

  // code 0: it accepts near ends.
  base::Error start();

  // Closes the listening socket: a near end that waits there comes back, to whoever listens next.
  // GOAWAY on every connection: what is open goes on, and each closes in order after its last
  // session.
  void drain();

  // The same, but for the listening socket, in which near ends may wait: it is for the one who
  // takes its place.
  net::Descriptor hand_over();

  // After drain() or hand_over(), at each reload: what its near ends still ask for is judged by the
  // far end that is there now, as if they had come to that one; nullptr: by nobody, nothing is
  // opened any more. Sessions that would not be opened any more are cut, if `revoked` says so: of
  // the judge, or of this one if there is none. The judge stays until the next call.
  void judged_by(Far* judge);

  // Drained, and nothing of it is left but sessions, which do without.
  [[nodiscard]] bool is_over() const {
    return draining_ && near_ends_.empty() && requests_.empty();
  }

  // Connections of near ends, also those that are not ready.
  [[nodiscard]] std::size_t connections() const { return near_ends_.size(); }
  // On all of them.
  [[nodiscard]] std::size_t streams() const;
  [[nodiscard]] const std::string& name() const { return settings_.route.name; }
  [[nodiscard]] const base::Address& listen() const { return settings_.route.listen; }

 private:
  bool may_accept() override;
  void on_accepted(net::Descriptor fd, const base::Address& near) override;
  void on_paused(const base::Error& error) override;
  void on_recovered() override;
  void on_near_end_ready(FarConnection& near_end) override;
  void on_request(FarAsker asker, const http2::ConnectRequest& request) override;
  void on_malformed_request(const FarConnection& near_end, std::string_view authority,
                            int status) override;
  void on_near_end_proven(FarConnection& near_end) override;
  void on_near_end_gone(FarConnection& near_end, const std::string& why) override;
  void on_looked_up(FarLookUp& request, std::span<const base::Address> found,
                    const base::Error& error) override;
  void on_abandoned(FarLookUp& request) override;
  void on_time() override;
  bool turn_end() override;

  void judge_near_ends();
  void judge_near_end(FarConnection& near_end);
  void judge(FarAsker asker, const http2::ConnectRequest& request);
  void open(FarAsker& asker, const Destination& destination, std::span<const base::Address> found);
  void turn_away(const FarAsker& asker);
  [[nodiscard]] std::string why_not(const FarConnection& near_end, bool over_tls) const;
  [[nodiscard]] bool knows_token_of(const FarSettings& other) const;
  [[nodiscard]] bool would_open(const FarLeg& leg) const;
  void cut_what_is_revoked(const FarConnection& near_end);
  void log_refusal(const FarAsker& asker, const std::string& reason);
  void refuse(const FarAsker& asker, FarAnswer answer, const std::string& reason);
  [[nodiscard]] bool takes_all() const;
  [[nodiscard]] FarConnection* that_makes_room() const;
  [[nodiscard]] FarConnection* unused_one_of_many() const;
  bool make_room();
  [[nodiscard]] bool leaves_none_to_others(const FarConnection& asking) const;
  // Of which its near ends have one each.
  [[nodiscard]] std::size_t places() const {
    return std::min(settings_.connections, quota_.most_near_ends());
  }
  // A line that strangers cause.
  static void write_limited(base::log::Line& line, std::uint64_t left_out,
                            base::log::Level level = base::log::Level::warning);
  [[nodiscard]] base::log::Line line_about(std::string_view message,
                                           const FarConnection& near_end) const;
  void tell_arrival(base::log::Line line);
  [[nodiscard]] relay::LogRateLimit& lines_about(const FarConnection& near_end) {
    return near_end.is_proven() ? lines_ : lines_of_strangers_;
  }

  const FarSettings& settings_;
  const tls::Context* tls_;
  ConnectionTable& connections_;
  relay::SessionTable& sessions_;
  relay::SessionQuota& quota_;
  net::Loop& loop_;
  net::Poller& poller_;
  net::Timers& timers_;
  AllowList allow_;
  relay::LogRateLimit lines_;               // about refusals
  relay::LogRateLimit lines_of_strangers_;  // the same: they cannot keep others' from the log
  relay::LogRateLimit arrivals_;  // about near ends that anybody may be, coming and going in order
  std::vector<std::unique_ptr<FarConnection>> near_ends_;
  Strangers strangers_;  // among these
  std::vector<std::unique_ptr<FarLookUp>> requests_;
  net::Listener listener_;
  Far* judge_ = this;  // of requests; nullptr: nobody
  bool draining_ = false;
  bool has_turn_end_ = false;
  bool are_to_be_judged_ = false;  // some near ends
};

}  // namespace finhold::tunnel
