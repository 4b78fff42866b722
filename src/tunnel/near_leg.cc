#include "tunnel/near_leg.h"

#include <cerrno>
#include <utility>

#include "tunnel/forwarded.h"

namespace finhold::tunnel {

using core::Ending;

namespace {

// What a far end says no by. Other proxies have other reasons for the same numbers; these are the
// nearest.
Ending ending_of_answer(int status) {
  if (status == 502) return Ending::server_refused;
  if (status == 504) return Ending::server_timeout;
  return status >= 500 ? Ending::far_busy : Ending::not_allowed;
}

}  // namespace

NearLeg::NearLeg(const TunnelSettings& settings, NearQueue& queue, net::Timers& timers,
                 std::string authority, const base::Address& client, net::Instant until)
    : net::Timer(timers),
      settings_(settings),
      queue_(queue),
      place_(queue.insert(queue.end(), this)),
      authority_(std::move(authority)),
      client_(client) {
  arm(until);
}

NearLeg::~NearLeg() { leave_queue(); }

void NearLeg::leave_queue() {
  if (place_ != queue_.end()) queue_.erase(std::exchange(place_, queue_.end()));
}

bool NearLeg::open_on(Connection& connection, std::size_t& resets) {
  const std::string forwarded = forwarded_for(client_);
  Http2Stream* const stream = connection.open({authority_, forwarded, settings_.token}, *this);
  if (stream == nullptr) return false;
  leave_queue();
  carrier_ = &connection;
  resets_ = &resets;
  carry(connection, *stream);
  if (settings_.optimistic_data) {
    open_way_in();
    tell_owner();
  }
  return true;
}

void NearLeg::on_answer(int status) {
  if (status >= 300) return give_up(ECONNREFUSED, ending_of_answer(status));
  disarm();
  if (settings_.optimistic_data) return;
  open_way_in();
  tell_owner();
}

void NearLeg::on_reset(Http2Code code) {
  disarm();
  if (carrier_->lost()) ++*resets_;
  StreamLeg::on_reset(code);
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
