#include "admin/status_json.h"

#include <cstdint>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "admin/reported_routes.h"
#include "base/side.h"
#include "core/ending.h"
#include "core/fin_policy.h"

namespace finhold::admin {
namespace {

using Json = nlohmann::ordered_json;
using base::Flow;
using relay::RouteCounts;
using relay::SessionState;

double seconds(net::Instant milliseconds) { return static_cast<double>(milliseconds) / 1000; }

const char* name(SessionState::Phase phase) {
  switch (phase) {
    case SessionState::Phase::announcing:
      return "announcing";
    case SessionState::Phase::dialing:
      return "dialing";
    case SessionState::Phase::relaying:
      return "relaying";
    case SessionState::Phase::closing:
      return "closing";
  }
  return "";
}

Json by_flow(const std::array<std::uint64_t, 2>& values) {
  return {{"to_server", values[base::index(Flow::to_server)]},
          {"to_client", values[base::index(Flow::to_client)]}};
}

Json endings(const RouteCounts& counts) {
  Json all = Json::object();
  for (std::size_t i = 0; i < core::ending_count; ++i) {
    if (counts.endings[i] > 0) all[core::name(static_cast<core::Ending>(i))] = counts.endings[i];
  }
  return all;
}

Json fins_released(const RouteCounts& counts) {
  Json all = Json::object();
  for (const Flow flow : {Flow::to_server, Flow::to_client}) {
    for (std::size_t i = 0; i < core::release_count; ++i) {
      const std::uint64_t count = counts.fins[base::index(flow)][i];
      if (count == 0) continue;
      const char* const reason = core::name(static_cast<core::Release>(i), flow);
      all[reason] = all.value(reason, std::uint64_t{0}) + count;
    }
  }
  return all;
}

Json route(const RouteFacts& facts, const RouteCounts& counts) {
  return {{"name", facts.name},
          {"listen", facts.listen},
          {"server", facts.server.empty() ? Json() : Json(facts.server)},
          {"tunnel", facts.tunnel.empty() ? Json() : Json(facts.tunnel)},
          {"is_far", facts.is_far},
          {"crosses", facts.crosses},
          {"removed", facts.is_removed},
          {"sessions", counts.sessions},
          {"sessions_limit", facts.most_sessions == 0 ? Json() : Json(facts.most_sessions)},
          {"dialing", counts.dialing},
          {"half_closed", counts.half_closed},
          {"held_fins", by_flow(counts.held)},
          {"bytes", by_flow(counts.bytes)},
          {"endings", endings(counts)},
          {"fins_released", fins_released(counts)}};
}

Json ends(const std::map<std::string, EndCounts>& all) {
  Json json = Json::array();
  for (const auto& [name, counts] : all) {
    json.push_back(
        {{"name", name}, {"connections", counts.connections}, {"streams", counts.streams}});
  }
  return json;
}

Json flow(const SessionState::Flow& flow, Flow which) {
  Json json{{"state", core::name(flow.state)}, {"bytes", flow.bytes}, {"blocked", flow.blocked}};
  if (!core::has_ended(flow.state)) return json;
  json["ended_seconds"] = seconds(flow.ended_ms);
  json["held_seconds"] = seconds(flow.held_ms);
  if (flow.quiet_ms != 0) {
    json["quiet_seconds"] = seconds(flow.quiet_ms);
    json["end_needs"] = core::name(flow.needs);
  }
  if (flow.release != core::Release::none) json["released"] = core::name(flow.release, which);
  return json;
}

Json session(const SessionState& state) {
  return {{"id", state.id},
          {"route", state.route},
          {"client", state.client.text()},
          {"server", state.server},
          {"phase", name(state.phase)},
          {"age_seconds", seconds(state.age_ms)},
          {"half_closed", state.half_closed},
          {"to_server", flow(state.flows[base::index(Flow::to_server)], Flow::to_server)},
          {"to_client", flow(state.flows[base::index(Flow::to_client)], Flow::to_client)}};
}

}  // namespace

std::string status_json(const Facts& facts, const Reports& reports, bool stopping) {
  using std::chrono::duration;
  Json routes = Json::array();
  std::uint64_t open = 0;
  for (const auto& [name, counts] : reports.routes) open += counts.sessions;
  for (const auto& [one, counts] : reported_routes(facts, reports))
    routes.push_back(route(one, counts));
  Json sessions = Json::array();
  for (const SessionState& state : reports.sessions) sessions.push_back(session(state));
  const duration<double> uptime = std::chrono::steady_clock::now() - facts.up_since;
  const Json all{{"version", facts.version},
                 {"pid", getpid()},
                 {"state", stopping ? "stopping" : "ready"},
                 {"uptime_seconds", uptime.count()},
                 {"workers", reports.workers},
                 {"sessions", open},
                 {"sessions_limit", facts.most_sessions},
                 {"routes", std::move(routes)},
                 {"tunnels", ends(reports.tunnels)},
                 {"fars", ends(reports.fars)},
                 {"sessions_listed", std::move(sessions)}};
  // A name in a configuration may be any bytes; here they are made UTF-8.
  return all.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace finhold::admin
