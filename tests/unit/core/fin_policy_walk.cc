#include "unit/core/fin_policy_walk.h"

#include <algorithm>
#include <array>
#include <iomanip>
#include <sstream>

namespace finhold::tests {

using base::Flow;
using base::Side;
using core::Crosses;
using core::Event;
using core::FinPolicy;

namespace {

constexpr std::array kinds{Event::Kind::ended,
                           Event::Kind::broken,
                           Event::Kind::drained,
                           Event::Kind::gone,
                           Event::Kind::reset,
                           Event::Kind::delivered,
                           Event::Kind::undelivered,
                           Event::Kind::quiet,
                           Event::Kind::hold_limit,
                           Event::Kind::half_closed_idle,
                           Event::Kind::half_closed_total,
                           Event::Kind::closing,
                           Event::Kind::idle,
                           Event::Kind::cut};

bool of_the_session(Event::Kind kind) {
  return kind == Event::Kind::half_closed_idle || kind == Event::Kind::half_closed_total ||
         kind == Event::Kind::closing || kind == Event::Kind::idle || kind == Event::Kind::cut;
}

std::vector<Event> every_event() {
  std::vector<Event> events;
  for (const auto kind : kinds) {
    events.push_back({kind, Side::client});
    if (!of_the_session(kind)) events.push_back({kind, Side::server});
  }
  return events;
}

const char* name(Event::Kind kind) {
  switch (kind) {
    case Event::Kind::ended:
      return "ended";
    case Event::Kind::broken:
      return "broken";
    case Event::Kind::drained:
      return "drained";
    case Event::Kind::gone:
      return "gone";
    case Event::Kind::reset:
      return "reset";
    case Event::Kind::delivered:
      return "delivered";
    case Event::Kind::undelivered:
      return "undelivered";
    case Event::Kind::quiet:
      return "quiet";
    case Event::Kind::hold_limit:
      return "hold_limit";
    case Event::Kind::half_closed_idle:
      return "half_closed_idle";
    case Event::Kind::half_closed_total:
      return "half_closed_total";
    case Event::Kind::closing:
      return "closing";
    case Event::Kind::idle:
      return "idle";
    case Event::Kind::cut:
      return "cut";
  }
  return "";
}

// That of a flow whose sink crosses nothing makes no difference; each other one makes its own.
std::vector<std::array<base::Limit, 2>> quiet_times(Crosses crosses,
                                                    const std::vector<base::Limit>& limits) {
  const std::vector<base::Limit> any{limits.back()};
  std::vector<std::array<base::Limit, 2>> pairs;
  for (const auto& to_server : core::crosses(crosses, Side::server) ? limits : any) {
    for (const auto& to_client : core::crosses(crosses, Side::client) ? limits : any) {
      pairs.push_back({to_server, to_client});
    }
  }
  return pairs;
}

}  // namespace

Walk walk(const core::FinSettings& settings) {
  Walk result;
  result.states.emplace_back(settings);
  for (std::size_t from = 0; from < result.states.size(); ++from) {
    for (const Event event : every_event()) {
      FinPolicy next = result.states[from];
      if (!next.possible(event)) continue;
      const core::Actions actions = next.step(event);
      const auto known = std::find(result.states.begin(), result.states.end(), next);
      const auto to = static_cast<std::size_t>(known - result.states.begin());
      if (known == result.states.end()) result.states.push_back(next);
      result.transitions.push_back({from, event, actions, to});
    }
  }
  return result;
}

std::vector<core::FinSettings> every_setting() {
  const base::Limit never;
  const base::Limit zero = std::chrono::seconds(0);
  const base::Limit some = std::chrono::seconds(5);
  std::vector<core::FinSettings> settings;
  for (const auto crosses : {Crosses::none, Crosses::client, Crosses::server, Crosses::both}) {
    for (const auto& quiet : quiet_times(crosses, {never, zero, some})) {
      for (const auto& hold : {never, zero, some}) {
        for (const auto& half_closed : {never, some}) {
          core::FinSettings setting;
          setting.crosses = crosses;
          setting.release_when_quiet = quiet;
          setting.hold_at_most = hold;
          setting.half_closed_idle = half_closed;
          setting.half_closed_total = half_closed;
          setting.closing = half_closed;
          setting.idle = half_closed;
          settings.push_back(setting);
        }
      }
    }
  }
  return settings;
}

std::string text(Event event) {
  std::string result;
  if (!of_the_session(event.kind)) result = std::string(base::name(event.side)) + " ";
  return result + name(event.kind);
}

std::string text(const core::Actions& actions) {
  std::string result;
  const auto add = [&result](const std::string& word) {
    result += (result.empty() ? "" : ", ") + word;
  };
  for (const Side side : {Side::client, Side::server}) {
    if (actions.send_fin[base::index(side)]) add(std::string("FIN to ") + base::name(side));
  }
  for (const Flow flow : {Flow::to_server, Flow::to_client}) {
    if (actions.hold[base::index(flow)]) add(std::string("hold ") + base::name(flow));
  }
  for (const Side side : {Side::client, Side::server}) {
    if (actions.nurse[base::index(side)]) add(std::string("nurse ") + base::name(side));
  }
  if (actions.reset) add("reset both");
  if (actions.finished) add("finished");
  return result.empty() ? "-" : result;
}

std::string text(const FinPolicy& state) {
  std::string result;
  for (const Flow flow : {Flow::to_server, Flow::to_client}) {
    result += std::string(base::name(flow)) + " " + core::name(state.flow(flow));
    if (state.release(flow) != core::Release::none) {
      result += std::string(" (") + core::name(state.release(flow), flow) + ")";
    }
    result += flow == Flow::to_server ? ", " : "";
  }
  for (const Side side : {Side::client, Side::server}) {
    if (state.failed(side)) {
      result += std::string(", ") + base::name(side) + " failed";
    } else if (state.gone(side)) {
      result += std::string(", ") + base::name(side) + " gone";
    }
    if (state.nursed(side)) result += std::string(", ") + base::name(side) + " nursed";
  }
  return result + (state.over() ? ", over" : "");
}

std::string table(const core::FinSettings& settings) {
  const Walk all = walk(settings);
  std::ostringstream out;
  std::size_t described = all.states.size();
  for (const Transition& transition : all.transitions) {
    if (described != transition.from) {
      described = transition.from;
      out << "\n" << described << ": " << text(all.states[described]) << "\n";
    }
    const bool over = all.states[transition.to].over();
    out << "  " << std::left << std::setw(18) << text(transition.event) << " -> " << std::right
        << std::setw(4) << (over ? "over" : std::to_string(transition.to)) << "  "
        << text(transition.actions) << "\n";
  }
  return out.str();
}

}  // namespace finhold::tests
