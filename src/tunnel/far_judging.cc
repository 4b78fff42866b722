// What a far end does for the near ends of an earlier one, after a reload.
#include <algorithm>

#include "tunnel/far.h"
#include "tunnel/far_leg.h"
#include "tunnel/host_addresses.h"

namespace finhold::tunnel {

namespace log = base::log;

void Far::judged_by(Far* judge) {
  judge_ = judge;
  const bool over_tls = settings_.tls.has_value();
  const Revoked revoked = judge != nullptr ? judge->settings_.revoked : settings_.revoked;
  for (const auto& near_end : near_ends_) {
    near_end->bar(judge != nullptr ? judge->why_not(*near_end, over_tls)
                                   : "its [[far]] is not in the configuration any more");
    if (!near_end->why_barred().empty()) near_end->refuse_new();
    if (revoked == Revoked::cut) cut_what_is_revoked(*near_end);
  }
}

// Empty: it would be let in. Its token is a matter of each request.
std::string Far::why_not(const FarNearEnd& near_end, bool over_tls) const {
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

void Far::cut_what_is_revoked(const FarNearEnd& near_end) {
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
  asker.stream.reset(Http2Code::refused_stream);
  asker.stream.forget();
  asker.connection.touch();
}

}  // namespace finhold::tunnel
