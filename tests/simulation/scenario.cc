#include "simulation/scenario.h"

#include <algorithm>
#include <cstdio>

#include "base/duration.h"
#include "core/fin_settings.h"
#include "simulation/random.h"

namespace finhold::simulation {
namespace {

using Kind = Step::Kind;

std::uint64_t some_bytes(Random& random) {
  return random.one_of<std::uint64_t>({1, 1, 2, 100, 1000, 4096, 10'000, 70'000, 200'000});
}

// Times near those of the timers, and in between.
Time some_time(Random& random) {
  constexpr std::array around{1 * ms, 20 * ms, 200 * ms, 1 * s,   5 * s,       10 * s,
                              30 * s, 60 * s,  90 * s,   120 * s, 10 * minute, hour};
  return around.at(random.below(around.size())) + random.below(3 * ms);
}

Script some_script(Random& random, bool is_server) {
  Script script;
  const std::uint64_t shape = random.below(8);
  if (shape == 0) {  // a request, an answer
    if (is_server)
      return {{Kind::await_bytes, 100}, {Kind::send, some_bytes(random)}, {Kind::close}};
    return {{Kind::send, 100}, {Kind::await_end}};
  }
  if (shape == 1) {  // sort
    if (is_server) return {{Kind::await_end}, {Kind::send, some_bytes(random)}, {Kind::close}};
    return {{Kind::send, some_bytes(random)}, {Kind::end}, {Kind::await_end}};
  }
  if (shape == 2) {  // sends much, and reads nothing until that is done
    script = {{Kind::pause}, {Kind::send, 200'000}, {Kind::resume}};
  }
  bool ended = false;
  for (std::uint64_t left = random.below(7); left > 0; --left) {
    switch (random.below(12)) {
      case 0:
      case 1:
      case 2:
        if (!ended) script.push_back({Kind::send, some_bytes(random)});
        break;
      case 3:
        if (!ended) script.push_back({Kind::end});
        ended = true;
        break;
      case 4:
        script.push_back({Kind::pause});
        break;
      case 5:
        script.push_back({Kind::resume});
        break;
      case 6:
      case 7:
        script.push_back({Kind::sleep, some_time(random)});
        break;
      case 8:
        script.push_back({Kind::await_bytes, some_bytes(random)});
        break;
      case 9:
        script.push_back({Kind::await_end});
        break;
      case 10:
        script.push_back({Kind::close});
        return script;
      case 11:
        if (!random.one_in(2)) break;
        script.push_back({Kind::abort});
        return script;
      default:
        break;
    }
  }
  return script;
}

Middlebox some_box(Random& random) {
  Middlebox box;
  box.timer = random.one_in(2) ? Middlebox::Timer::idle : Middlebox::Timer::absolute;
  box.after_fin = random.one_of<Time>({0, 10 * s, 30 * s, 60 * s, 120 * s, 10 * minute});
  box.resets = random.one_in(3);
  if (random.one_in(4)) box.open_idle = random.one_of<Time>({300 * s, 30 * minute, hour});
  return box;
}

PathOptions some_path(Random& random, bool is_local) {
  PathOptions path;
  path.delay = is_local ? 10 : random.one_of<Time>({10, 100, 1 * ms, 20 * ms, 150 * ms});
  if (is_local) return path;
  if (random.one_in(6)) path.lost_in_1000 = static_cast<std::uint32_t>(1 + random.below(150));
  if (random.one_in(8)) {
    path.outage.begin = some_time(random);
    path.outage.end = random.one_in(2) ? path.outage.begin + some_time(random) : for_ever;
  }
  return path;
}

Buffers some_buffers(Random& random) {
  const auto size = [&] {
    return static_cast<std::size_t>(
        random.one_of<std::uint64_t>({4 << 10, 16 << 10, 64 << 10, 256 << 10}));
  };
  return {size(), size()};
}

base::Limit some_limit(Random& random) {
  return base::Milliseconds(random.one_of<int>({1000, 10'000, 60'000, 300'000}));
}

}  // namespace

Scenario scenario_of(std::uint64_t seed) {
  Random random(seed);
  Scenario made;
  made.seed = seed;
  made.client_is_local = random.one_in(3);
  made.server_is_local = !made.client_is_local && random.one_in(3);
  made.client_path = some_path(random, made.client_is_local);
  made.server_path = some_path(random, made.server_is_local);
  for (Buffers& buffers : made.buffers) buffers = some_buffers(random);
  if (random.one_in(3)) made.lag = random.one_of<Time>({100, 1 * ms, 50 * ms, 2 * s});
  made.splicing =
      random.one_of({relay::Splicing::automatic, relay::Splicing::never, relay::Splicing::always});
  if (random.one_in(20)) made.answers = random.one_of({Server::refuses, Server::is_silent});

  relay::Route& route = made.route;
  route.name = "simulated";
  route.fin.crosses =
      random.one_of({core::Crosses::server, core::Crosses::server, core::Crosses::none,
                     core::Crosses::client, core::Crosses::both});
  // No box is where the user says that there is none.
  if (core::crosses(route.fin.crosses, base::Side::server) && !made.server_is_local) {
    made.server_path.box = some_box(random);
  }
  if (core::crosses(route.fin.crosses, base::Side::client) && !made.client_is_local) {
    made.client_path.box = some_box(random);
  }
  for (base::Limit& quiet : route.fin.release_when_quiet) {
    if (random.one_in(2)) continue;  // as it is
    quiet = random.one_in(2) ? base::Limit()
                             : base::Limit(base::Milliseconds(random.one_of<int>({0, 1000, 5000})));
  }
  if (random.one_in(8)) route.fin.hold_at_most = some_limit(random);
  if (random.one_in(10)) route.fin.half_closed_idle = some_limit(random);
  if (random.one_in(10)) route.fin.half_closed_total = some_limit(random);
  if (random.one_in(10)) route.fin.idle = some_limit(random);
  if (random.one_in(4)) route.fin.closing.reset();
  route.fin.vanished_after = route.keepalive.vanished_after();

  made.client = some_script(random, false);
  made.server = some_script(random, true);
  if (random.one_in(4)) made.fault = {1 + random.below(80), random.below(16)};
  // One session learns nothing, but watches.
  for (std::size_t flow = 0; flow < 2; ++flow) {
    const bool is_patient = route.fin.release_when_quiet[flow] == base::Limit(core::patient_quiet);
    route.fin.learns_quiet[flow] = is_patient && random.one_in(2);
  }
  return made;
}

bool Scenario::network_is_well() const {
  const auto is_well = [](const PathOptions& path) {
    return path.lost_in_1000 == 0 && path.outage.begin == path.outage.end;
  };
  return is_well(client_path) && is_well(server_path) && answers == Server::listens;
}

namespace {

std::string describe(const Middlebox& box) {
  if (box.timer == Middlebox::Timer::none) return "no box";
  std::string text = "a box that forgets ";
  text += std::to_string(box.after_fin / s) + " s after the first FIN";
  text += box.timer == Middlebox::Timer::idle ? " (idle)" : " (absolute)";
  if (box.open_idle != 0) text += ", or after " + std::to_string(box.open_idle / s) + " s idle";
  return text + (box.resets ? ", and resets" : ", silently");
}

std::string describe(const PathOptions& path, bool is_local) {
  std::string text = is_local ? "this machine" : std::to_string(path.delay) + " us away";
  text += ", " + describe(path.box);
  if (path.lost_in_1000 != 0) text += ", loses " + std::to_string(path.lost_in_1000) + " of 1000";
  if (path.outage.begin != path.outage.end) {
    text += ", nothing passes from " + std::to_string(path.outage.begin / ms) + " to " +
            std::to_string(path.outage.end / ms) + " ms";
  }
  return text;
}

std::string describe(const base::Limit& limit) {
  return limit ? base::format_duration(*limit) : "never";
}

}  // namespace

std::string describe(const Scenario& scenario) {
  const core::FinSettings& fin = scenario.route.fin;
  constexpr std::array answers{"listens", "refuses", "is silent"};
  constexpr std::array splicing{"automatic", "never", "always"};
  std::string text =
      "client   " + describe(scenario.client) + "\nserver   " + describe(scenario.server) + "\n";
  text += "client's path: " + describe(scenario.client_path, scenario.client_is_local) + "\n";
  text += "server's path: " + describe(scenario.server_path, scenario.server_is_local) + "; it " +
          answers.at(static_cast<std::size_t>(scenario.answers)) + "\n";
  text += std::string("crosses ") + core::name(fin.crosses) + ", release_when_quiet " +
          describe(fin.release_when_quiet[0]) + " / " + describe(fin.release_when_quiet[1]) +
          ", hold_at_most " + describe(fin.hold_at_most) + ", half_closed_idle " +
          describe(fin.half_closed_idle) + ", half_closed_total " +
          describe(fin.half_closed_total) + ", idle " + describe(fin.idle) + "\n";
  text += std::string("splicing ") + splicing.at(static_cast<std::size_t>(scenario.splicing)) +
          ", lag " + std::to_string(scenario.lag) + " us" +
          (scenario.fault.at == 0 ? std::string()
                                  : ", call " + std::to_string(scenario.fault.at) + " fails") +
          "; buffers (send/receive)";
  for (const Buffers& each : scenario.buffers) {
    text += " " + std::to_string(each.send >> 10) + "/" + std::to_string(each.receive >> 10) + "K";
  }
  return text + "\n";
}

}  // namespace finhold::simulation
