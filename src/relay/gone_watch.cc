#include "relay/gone_watch.h"

#include <algorithm>

#include "relay/session.h"

namespace finhold::relay {

void GoneWatch::add(Session& session) {
  if (session.watch_slot_ != Session::unwatched) return;
  session.watch_slot_ = static_cast<std::uint32_t>(watched_.size());
  watched_.push_back(&session);
  const net::Instant soon = loop_.now() + soon_ms;
  if (!armed() || deadline() > soon) arm(soon);
}

void GoneWatch::remove(Session& session) {
  const std::uint32_t slot = session.watch_slot_;
  if (slot == Session::unwatched) return;
  session.watch_slot_ = Session::unwatched;
  Session* last = watched_.back();
  watched_.pop_back();
  if (last != &session) {
    watched_[slot] = last;
    last->watch_slot_ = slot;
  }
  if (watched_.empty()) disarm();
}

void GoneWatch::on_time() {
  const std::size_t count = std::min(watched_.size(), most_at_once);
  for (std::size_t i = 0; i < count && !watched_.empty(); ++i) {
    if (next_ >= watched_.size()) next_ = 0;
    Session& session = *watched_[next_];
    session.look_whether_gone();
    // One that has left has made room for the last.
    if (session.watch_slot_ == next_) ++next_;
  }
  if (watched_.empty()) return;
  const std::size_t turns = (watched_.size() + most_at_once - 1) / most_at_once;
  arm(loop_.now() + std::max(soon_ms, round_ms / turns));
}

}  // namespace finhold::relay
