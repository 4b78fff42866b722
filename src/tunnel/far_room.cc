// Who may have a place at the far end, where there are fewer than want one: places belong to who
// has proven who it is, and whoever merely connects, and connects again, shall not keep these out.
#include "tunnel/far.h"

namespace finhold::tunnel {

namespace log = base::log;

bool Far::may_accept() {
  return near_ends_.size() < settings_.connections || that_makes_room() != nullptr;
}

// False: nobody gives way.
bool Far::make_room() {
  FarNearEnd* const near_end = that_makes_room();
  if (near_end == nullptr) return false;
  strangers_.remove(*near_end);
  near_end->cut();
  const auto left_out = lines_.take(loop_.now());
  if (!left_out) return true;
  log::Line line = line_about("refused a connection", *near_end);
  line.add(
      "error",
      near_end->was_ready()
          ? "it had not shown the token when others came, and connections of [[far]] was reached"
          : "it was not ready when others came, and connections of [[far]] was reached");
  write_limited(line, *left_out);
  return true;
}

void Far::on_near_end_proven(FarNearEnd& near_end) { strangers_.remove(near_end); }

// There is nothing to prove: who is ready is no stranger.
bool Far::takes_all() const {
  return settings_.token.empty() && (!settings_.tls || settings_.tls->client_ca.empty());
}

}  // namespace finhold::tunnel
