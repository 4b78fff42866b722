// What a far end does for the near ends of an earlier one, after a reload.
#include <algorithm>
#include <chrono>
#include <utility>

#include "tunnel/far.h"
#include "tunnel/far_leg.h"
#include "tunnel/host_addresses.h"

namespace finhold::tunnel {

namespace log = base::log;

namespace {

// Of a turn: a certificate costs up to some ms, and there may be a thousand near ends.
constexpr std::chrono::milliseconds time_in_turn(1);

}  // namespace

void Far::judged_by(Far* judge) {
  judge_ = judge;
  for (const auto& near_end : near_ends_) near_end->is_to_be_judged = true;
  if (!has_turn_end_) poller_.add_turn_end(*this);
  has_turn_end_ = are_to_be_judged_ = true;
  judge_near_ends();
}

// Connections had the end of their turn before: what they are to tell, and to send, goes out in the
// next.
bool Far::turn_end() {
  const bool judges = are_to_be_judged_;
  judge_near_ends();
  return judges;
}

// Those that there is time for; at least one. Whoever asks for something before is judged then.
void Far::judge_near_ends() {
  if (!are_to_be_judged_) return;
  using Clock = std::chrono::steady_clock;
  const auto until = Clock::now() + time_in_turn;
  for (const auto& near_end : near_ends_) {
    if (!near_end->is_to_be_judged) continue;
    judge_near_end(*near_end);
    if (Clock::now() >= until) return;
  }
  are_to_be_judged_ = false;
}

void Far::judge_near_end(FarConnection& near_end) {
  if (!std::exchange(near_end.is_to_be_judged, false)) return;
  near_end.bar(judge_ != nullptr ? judge_->why_not(near_end, settings_.tls.has_value())
                                 : "its [[far]] is not in the configuration any more");
  if (!near_end.why_barred().empty()) near_end.refuse_new();
  const Revoked revoked = judge_ != nullptr ? judge_->settings_.revoked : settings_.revoked;
  if (revoked == Revoked::cut) cut_what_is_revoked(near_end);
}

// Empty: it would be let in. Its token is a matter of each request.
std::string Far::why_not(const FarConnection& near_end, bool over_tls) const {
  if (!settings_.tls) return {};
  if (!over_tls) return "it came without TLS, which is asked for now";
  if (near_end.is_believed_by(*tls_)) return {};
  return "its certificate is not believed any more, by the client_ca of now";
}

// Whether what was let in by the token of that one would be let in by this one.
bool Far::knows_token_of(const FarSettings& other) const {
  return settings_.token.empty() || settings_.token == other.token;
}

bool Far::would_open(const FarLeg& leg) const {
  const FarOpened& opened = leg.opened;
  const auto host = host_addresses(opened.servers, settings_.route.own_mark());
  if (!knows_token_of(*opened.under) || !host.ok()) return false;
  const auto admitted = allow_.admit(opened.destination, opened.servers, host.value());
  return admitted.ok() && admitted.value().size() == opened.servers.size();
}

void Far::cut_what_is_revoked(const FarConnection& near_end) {
  const bool all = !near_end.why_barred().empty();
  std::vector<FarLeg*> revoked = near_end.legs();  // a copy: each takes itself away
  std::erase_if(revoked, [&](FarLeg* leg) { return !all && judge_->would_open(*leg); });
  if (revoked.empty()) return;
  line_about("sessions are cut", near_end)
      .add("sessions", revoked.size())
      .add("reason", all ? near_end.why_barred()
                         : "by the token and the allow of now they would not be opened")
      .write(log::Level::warning);
  for (FarLeg* leg : revoked) leg->revoke();
}

// Not processed, so it may be asked for elsewhere (RFC 9113 section 8.7).
void Far::turn_away(const FarAsker& asker) {
  asker.stream.reset(http2::ErrorCode::refused_stream);
  asker.stream.forget();
  asker.connection.touch();
}

}  // namespace finhold::tunnel
