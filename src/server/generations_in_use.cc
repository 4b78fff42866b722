#include "app/eras.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace finhold::app {

void Eras::begin(const GenerationRef& generation) {
  Era era{generation, {}};
  for (std::size_t i = 0; i < generation->config.tunnels.size(); ++i) {
    era.nears.push_back(nullptr);
    if (!uses_tunnel(generation->config, i)) continue;
    if (!eras_.empty()) {
      const Era& last = eras_.back();
      const auto same = same_tunnel(*last.generation, *generation, i);
      if (same) era.nears.back() = last.nears[*same];
    }
    if (era.nears.back() == nullptr) era.nears.back() = open(generation, i);
  }
  if (!eras_.empty()) {
    for (NearEnd* former : eras_.back().nears) {
      if (former == nullptr) continue;
      if (std::find(era.nears.begin(), era.nears.end(), former) == era.nears.end()) {
        former->near.drain();
      }
    }
  }
  eras_.push_back(std::move(era));
}

Eras::NearEnd* Eras::open(const GenerationRef& generation, std::size_t tunnel) {
  const auto& tls = generation->certificates.tunnels[tunnel];
  nears_.emplace_back(new NearEnd{
      generation, tunnel::Near(generation->config.tunnels[tunnel].settings, tls ? &*tls : nullptr,
                               connections_, loop_, poller_, timers_, resolver_)});
  nears_.back()->near.start();
  return nears_.back().get();
}

// A server that the client has chosen is named by its address; any other as the file names it,
// since the far end looks names up.
std::unique_ptr<relay::Leg> Eras::leg_to_server(const relay::Session& session) {
  const relay::Route& route = session.route();
  if (route.tunnel < 0) return nullptr;
  const auto era = std::find_if(eras_.rbegin(), eras_.rend(),
                                [&](const Era& each) { return owns(*each.generation, route); });
  FINHOLD_CHECK(era != eras_.rend());
  const base::Address* const chosen = session.server();
  return era->nears[static_cast<std::size_t>(route.tunnel)]->near.leg(
      chosen != nullptr ? chosen->without_zone().text() : route.server.authority(),
      session.client(), route.connect_timeout);
}

net::Instant Eras::check_every_ms() const {
  base::Milliseconds every = std::chrono::seconds(10);
  for (const Era& era : eras_) {
    const Config& config = era.generation->config;
    for (const auto& route : config.routes) every = std::min(every, route.keepalive.interval);
    for (const auto& far : config.fars) {
      every = std::min(every, far.settings.route.keepalive.interval);
    }
  }
  return static_cast<net::Instant>(every.count());
}

void Eras::count(std::map<std::string, admin::EndCounts>& tunnels) const {
  for (const auto& end : nears_) {
    tunnels[end->near.name()] += {end->near.connections(), end->near.streams()};
  }
}

void Eras::drain() {
  for (const auto& end : nears_) end->near.drain();
}

bool Eras::is_needed(const NearEnd& end) const {
  return !end.near.is_over() || std::any_of(eras_.begin(), eras_.end(), [&](const Era& era) {
    return std::find(era.nears.begin(), era.nears.end(), &end) != era.nears.end();
  });
}

bool Eras::forget_former(const std::vector<const relay::Route*>& in_use) {
  const auto is_former = [&](const Era& era) {
    return &era != &eras_.back() && !is_in_use(*era.generation, in_use);
  };
  // By hand: erase_if() moves the last one while it still asks.
  std::vector<Era> left;
  for (Era& era : eras_) {
    if (!is_former(era)) left.push_back(std::move(era));
  }
  eras_.swap(left);
  std::erase_if(nears_, [this](const auto& end) { return !is_needed(*end); });
  return eras_.size() == 1 && std::none_of(nears_.begin(), nears_.end(), [this](const auto& end) {
           const auto& current = eras_.back().nears;
           return std::find(current.begin(), current.end(), end.get()) == current.end();
         });
}

}  // namespace finhold::app
