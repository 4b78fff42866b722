#include "server/generations_in_use.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace finhold::server {

void GenerationsInUse::begin(const GenerationRef& generation) {
  InUse one{generation, {}};
  for (std::size_t i = 0; i < generation->config.tunnels.size(); ++i) {
    one.nears.push_back(nullptr);
    if (!uses_tunnel(generation->config, i)) continue;
    if (!in_use_.empty()) {
      const InUse& last = in_use_.back();
      const auto same = same_tunnel(*last.generation, *generation, i);
      if (same) one.nears.back() = last.nears[*same];
    }
    if (one.nears.back() == nullptr) one.nears.back() = open(generation, i);
  }
  if (!in_use_.empty()) {
    for (NearEnd* former : in_use_.back().nears) {
      if (former == nullptr) continue;
      if (std::find(one.nears.begin(), one.nears.end(), former) == one.nears.end()) {
        former->near.drain();
      }
    }
  }
  in_use_.push_back(std::move(one));
}

GenerationsInUse::NearEnd* GenerationsInUse::open(const GenerationRef& generation,
                                                  std::size_t tunnel) {
  const auto& tls = generation->certificates.tunnels[tunnel];
  nears_.emplace_back(new NearEnd{
      generation, tunnel::Near(generation->config.tunnels[tunnel].settings, tls ? &*tls : nullptr,
                               connections_, loop_, poller_, timers_, resolver_)});
  nears_.back()->near.start();
  return nears_.back().get();
}

// A server that the client has chosen is named by its address; any other as the file names it,
// since the far end looks names up.
std::unique_ptr<relay::Leg> GenerationsInUse::leg_to_server(const relay::Session& session) {
  const relay::Route& route = session.route();
  if (route.tunnel < 0) return nullptr;
  const auto one = std::find_if(in_use_.rbegin(), in_use_.rend(),
                                [&](const InUse& each) { return owns(*each.generation, route); });
  FINHOLD_CHECK(one != in_use_.rend());
  const base::Address* const chosen = session.server();
  return one->nears[static_cast<std::size_t>(route.tunnel)]->near.leg(
      chosen != nullptr ? chosen->without_zone().text() : route.server.authority(),
      session.client(), route.connect_timeout);
}

net::Instant GenerationsInUse::check_every_ms() const {
  base::Milliseconds every = std::chrono::seconds(10);
  for (const InUse& one : in_use_) {
    const config::Config& config = one.generation->config;
    for (const auto& route : config.routes) every = std::min(every, route.keepalive.interval);
    for (const auto& far : config.fars) {
      every = std::min(every, far.settings.route.keepalive.interval);
    }
  }
  return net::instant(every);
}

void GenerationsInUse::count(std::map<std::string, admin::EndCounts>& tunnels) const {
  for (const auto& end : nears_) {
    tunnels[end->near.name()] += {end->near.connections(), end->near.streams()};
  }
}

void GenerationsInUse::drain() {
  for (const auto& end : nears_) end->near.drain();
}

bool GenerationsInUse::is_needed(const NearEnd& end) const {
  return !end.near.is_over() || std::any_of(in_use_.begin(), in_use_.end(), [&](const InUse& one) {
    return std::find(one.nears.begin(), one.nears.end(), &end) != one.nears.end();
  });
}

bool GenerationsInUse::forget_former(const std::vector<const relay::Route*>& in_use) {
  const auto is_former = [&](const InUse& one) {
    return &one != &in_use_.back() && !is_in_use(*one.generation, in_use);
  };
  // By hand: erase_if() moves the last one while it still asks.
  std::vector<InUse> left;
  for (InUse& one : in_use_) {
    if (!is_former(one)) left.push_back(std::move(one));
  }
  in_use_.swap(left);
  std::erase_if(nears_, [this](const auto& end) { return !is_needed(*end); });
  return in_use_.size() == 1 && std::none_of(nears_.begin(), nears_.end(), [this](const auto& end) {
           const auto& current = in_use_.back().nears;
           return std::find(current.begin(), current.end(), end.get()) == current.end();
         });
}

}  // namespace finhold::server
