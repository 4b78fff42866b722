#include "tunnel/near_leg.h"

#include <cerrno>
#include <utility>

#include "http2/forwarded.h"
#include "tunnel/far_answer.h"

namespace finhold::tunnel {

using core::Ending;

namespace {

// Streams after the first, for a session of which nothing was processed. A far end that refuses
// everything is not to be asked for ever.
constexpr int most_tries_more = 5;

}  // namespace

NearLeg::NearLeg(const TunnelSettings& settings, NearQueue& queue, Owner& owner,
                 net::Timers& timers, std::string authority, const base::Address& client,
                 net::Instant until)
    : net::Timer(timers),
      settings_(settings),
      queue_(queue),
      owner_(owner),
      place_(queue.insert(queue.end(), this)),
      authority_(std::move(authority)),
      client_(client),
      tries_left_(most_tries_more) {
  arm(until);
}

NearLeg::~NearLeg() { leave_queue(); }

void NearLeg::leave_queue() {
  if (place_ != queue_.end()) queue_.erase(std::exchange(place_, queue_.end()));
}

bool NearLeg::open_on(NearConnection& link) {
  Connection& connection = *link.connection();
  const std::string forwarded = http2::forwarded_for(client_);
  http2::Stream* const stream = connection.open({authority_, forwarded, settings_.token}, *this);
  if (stream == nullptr) return false;
  leave_queue();
  link_ = &link;
  carry(connection, *stream);
  if (settings_.optimistic_data) {
    open_way_in();
    tell_owner();
  }
  return true;
}

void NearLeg::on_answer(int status) {
  owner_.on_answered(*link_);
  if (status >= 300) {
    return give_up(ECONNREFUSED, ending_of({status, stream()->why_refused()}));
  }
  disarm();
  if (settings_.optimistic_data) return;
  open_way_in();
  tell_owner();
}

void NearLeg::on_reset(http2::ErrorCode code) {
  if (code == http2::ErrorCode::refused_stream && !stream()->answered()) return try_again();
  disarm();
  if (link_->connection()->lost()) ++link_->resets;
  StreamLeg::on_reset(code);
}

// RFC 9113 section 8.7: a stream above the last one of a GOAWAY, or reset by REFUSED_STREAM, was
// not processed, so that nothing happens twice.
void NearLeg::try_again() {
  const Connection& connection = *link_->connection();
  const bool was_asked = stream()->asked();
  if (was_asked && tries_left_ == 0) {
    const bool leaves = connection.sent_away() || connection.lost();
    return give_up(ECONNREFUSED, leaves ? Ending::tunnel_lost : Ending::far_busy);
  }
  // A connection that is sent away as soon as it is ready never hears of it. Its own time, and that
  // near ends dial after failures, bound how often that may be.
  if (was_asked) --tries_left_;
  const bool stays = !connection.sent_away() && !connection.lost();
  // By whichever: two that are full would refuse it in turn.
  if (was_asked && stays && refused_by_ != nullptr) owner_.on_refused_again(*link_);
  refused_by_ = &connection;
  step_back();
  place_ = queue_.insert(queue_.begin(), this);
  owner_.on_leg_back();
}

void NearLeg::on_time() {
  give_up(ETIMEDOUT, stream() != nullptr ? Ending::server_timeout : Ending::no_tunnel);
}

void NearLeg::give_up(int code, Ending why) {
  leave_queue();
  disarm();
  fail(code, why);
  let_go();
  tell_owner();
}

void NearLeg::on_closed() {
  leave_queue();
  disarm();
}

}  // namespace finhold::tunnel
