// Who may have a place at the far end, where there are fewer than want one.
#include <algorithm>

#include "base/network.h"
#include "tunnel/far.h"

namespace finhold::tunnel {

namespace log = base::log;

namespace {

// TCP, TLS, SETTINGS and the first request of a near end far away are sooner.
constexpr net::Instant slow_after_ms = 1000;

// Of an address that has more strangers here than that, and than a quarter of the places, one goes
// at once when others come. Its IPv6 network of 64 bits counts as one address.
constexpr std::size_t many_of_one_source = 16;
constexpr unsigned source_bits_v6 = 64;

// That are looked at to make room for one.
constexpr std::size_t most_looked_at = 1024;

struct Stranger {
  FarNearEnd* near_end;
  std::uint64_t source;
};
using Strangers = std::vector<Stranger>;

std::uint64_t source_of(const FarNearEnd& near_end) {
  return base::Network::around(near_end.address().unmapped(), source_bits_v6).hash(0);
}

// Which one goes first: who is not even ready, then who was there first.
bool goes_before(const Stranger& one, const Stranger& other) {
  const bool ready = one.near_end->was_ready();
  if (ready != other.near_end->was_ready()) return !ready;
  return one.near_end->accepted_at() < other.near_end->accepted_at();
}

// Those of the source that has the most.
Strangers of_busiest_source(Strangers strangers) {
  std::sort(strangers.begin(), strangers.end(),
            [](const Stranger& one, const Stranger& two) { return one.source < two.source; });
  auto best = strangers.begin();
  auto best_end = best;
  for (auto first = strangers.begin(); first != strangers.end();) {
    const auto end = std::find_if(first, strangers.end(), [first](const Stranger& each) {
      return each.source != first->source;
    });
    if (end - first > best_end - best) {
      best = first;
      best_end = end;
    }
    first = end;
  }
  return {best, best_end};
}

}  // namespace

bool Far::may_accept() {
  return near_ends_.size() < settings_.connections || that_makes_room() != nullptr;
}

// Whoever merely connects, and connects again, shall not keep out those who are let in: places
// belong to who has proven who it is. Of the others one gives way that has had its time, or, at
// once, one of those whose address has so many that nobody else would have any. Who waits for us is
// not slow.
FarNearEnd* Far::that_makes_room() const {
  Strangers strangers;
  const std::size_t looked_at = std::min(near_ends_.size(), most_looked_at);
  for (std::size_t i = 0; i < looked_at; ++i) {
    FarNearEnd* const each = near_ends_[(looked_at_ + i) % near_ends_.size()].get();
    if (!each->is_proven() && !each->is_cut()) strangers.push_back({each, source_of(*each)});
  }
  if (looked_at < near_ends_.size()) looked_at_ += looked_at;
  Strangers many = of_busiest_source(strangers);
  if (many.size() > std::max(looked_at / 4, many_of_one_source)) {
    return std::min_element(many.begin(), many.end(), goes_before)->near_end;
  }
  std::erase_if(strangers, [this](const Stranger& each) {
    return each.near_end->waits_for_us() ||
           loop_.now() < each.near_end->accepted_at() + slow_after_ms;
  });
  if (strangers.empty()) return nullptr;
  return std::min_element(strangers.begin(), strangers.end(), goes_before)->near_end;
}

void Far::make_room() {
  FarNearEnd* const near_end = that_makes_room();
  if (near_end == nullptr) return;
  near_end->cut();
  const auto left_out = lines_.take(loop_.now());
  if (!left_out) return;
  log::Line line = line_about("refused a connection", *near_end);
  line.add(
      "error",
      near_end->was_ready()
          ? "it had not shown the token when others came, and connections of [[far]] was reached"
          : "it was not ready when others came, and connections of [[far]] was reached");
  write_limited(line, *left_out);
}

// There is nothing to prove: who is ready is no stranger.
bool Far::takes_all() const {
  return settings_.token.empty() && (!settings_.tls || settings_.tls->client_ca.empty());
}

}  // namespace finhold::tunnel
