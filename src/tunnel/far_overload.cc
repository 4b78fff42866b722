// Who may have a place at the far end, where there are fewer than want one: places belong to who
// has proven who it is, and whoever merely connects, and connects again, shall not keep these out.
#include <algorithm>
#include <cstdint>
#include <unordered_map>

#include "tunnel/far.h"

namespace finhold::tunnel {

namespace log = base::log;

bool Far::may_accept() { return near_ends_.size() < places() || that_makes_room() != nullptr; }

// Strangers first. For the sake of a crowd of them nobody goes who has proven who it is: others
// wait for their second then. But a few of them, ever new ones, keep nobody from places that are
// not used.
FarConnection* Far::that_makes_room() const {
  FarConnection* const stranger = strangers_.that_gives_way(places(), loop_.now());
  if (stranger != nullptr || strangers_.size() >= places() / 4) return stranger;
  return unused_one_of_many();
}

// Of the source that has the most connections, of those that have proven who they are: one that no
// session uses, and which has nothing to send, so that it loses nothing; before one that has.
FarConnection* Far::unused_one_of_many() const {
  std::unordered_map<std::uint64_t, std::size_t> connections;
  for (const auto& near_end : near_ends_) ++connections[near_end->source()];
  FarConnection* unused = nullptr;
  std::size_t most = 1;
  bool loses = true;
  for (const auto& near_end : near_ends_) {
    const bool is_stranger = near_end->place_of_stranger.stands;
    if (is_stranger || near_end->is_cut() || near_end->sessions() > 0) continue;
    const std::size_t its = connections[near_end->source()];
    const bool would_lose = !near_end->is_unused();
    if (its < 2 || would_lose > loses || (would_lose == loses && its <= most)) continue;
    most = its;
    loses = would_lose;
    unused = near_end.get();
  }
  return unused;
}

// False: nobody gives way.
bool Far::make_room() {
  FarConnection* const near_end = that_makes_room();
  if (near_end == nullptr) return false;
  const bool was_stranger = near_end->place_of_stranger.stands;
  strangers_.remove(*near_end);
  near_end->cut();
  const auto left_out = lines_about(*near_end).take(loop_.now());
  if (!left_out) return true;
  log::Line line = line_about("refused a connection", *near_end);
  line.add(
      "error",
      !was_stranger ? "no session used it when others came, connections of [[far]] was reached, "
                      "and its certificate, or address, has the most of them"
      : near_end->was_ready()
          ? "it had not shown the token when others came, and connections of [[far]] was reached"
          : "it was not ready when others came, and connections of [[far]] was reached");
  write_limited(line, *left_out);
  return true;
}

// The first session of a connection makes it one that does not give way; a request that waits for a
// name, or for its refusal to be sent, does not. The last eighth of the places is for sources that
// use no other: so it takes as many of them to leave nothing for who comes new.
bool Far::leaves_none_to_others(const FarConnection& asking) const {
  const std::size_t for_all = places() - places() / 8;
  if (near_ends_.size() < for_all || asking.sessions() > 0) return false;
  std::size_t used = 0;
  bool uses_another = false;
  for (const auto& near_end : near_ends_) {
    if (near_end->sessions() == 0) continue;
    ++used;
    uses_another = uses_another || near_end->source() == asking.source();
  }
  return uses_another && used >= for_all;
}

void Far::on_near_end_proven(FarConnection& near_end) { strangers_.remove(near_end); }

// There is nothing to prove: who is ready is no stranger.
bool Far::takes_all() const {
  return settings_.token.empty() && (!settings_.tls || settings_.tls->client_ca.empty());
}

}  // namespace finhold::tunnel
