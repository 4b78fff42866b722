#include "simulation/shrink.h"

#include <cstddef>
#include <utility>

#include "simulation/runs.h"

namespace finhold::simulation {
namespace {

class Shrinking {
 public:
  explicit Shrinking(Scenario scenario)
      : scenario_(std::move(scenario)), mistake_(mistake_in(scenario_)) {}

  // True: `change` has left the mistake as it was.
  template <typename Change>
  bool try_change(const Change& change) {
    Scenario smaller = scenario_;
    change(smaller);
    if (mistake_in(smaller) != mistake_) return false;
    scenario_ = std::move(smaller);
    return true;
  }

  bool shrink(Script Scenario::*script) {
    bool any = false;
    for (std::size_t i = 0; i < (scenario_.*script).size();) {
      const bool went = try_change([&](Scenario& smaller) {
        (smaller.*script).erase((smaller.*script).begin() + static_cast<std::ptrdiff_t>(i));
      });
      any = any || went;
      if (!went) ++i;
    }
    for (std::size_t i = 0; i < (scenario_.*script).size(); ++i) {
      if ((scenario_.*script)[i].amount < 2) continue;
      any = try_change([&](Scenario& smaller) { (smaller.*script)[i].amount /= 2; }) || any;
    }
    return any;
  }

  [[nodiscard]] const Scenario& scenario() const { return scenario_; }

 private:
  Scenario scenario_;
  std::string mistake_;
};

}  // namespace

std::string mistake_in(const Scenario& scenario) {
  return mistake_of(scenario, run_through_finhold(scenario, false));
}

Scenario shrunk(Scenario scenario) {
  Shrinking shrinking(std::move(scenario));
  while (shrinking.shrink(&Scenario::client) || shrinking.shrink(&Scenario::server)) {
  }
  const auto plain = [&](auto... part) {
    return shrinking.try_change([&](Scenario& smaller) {
      const Scenario as_it_is{};
      ((smaller.*part = as_it_is.*part), ...);
    });
  };
  plain(&Scenario::lag);
  plain(&Scenario::fault);
  plain(&Scenario::buffers);
  plain(&Scenario::splicing);
  for (PathOptions Scenario::*const path : {&Scenario::client_path, &Scenario::server_path}) {
    shrinking.try_change([&](Scenario& smaller) { (smaller.*path).lost_in_1000 = 0; });
    shrinking.try_change([&](Scenario& smaller) { (smaller.*path).outage = {}; });
    shrinking.try_change([&](Scenario& smaller) { (smaller.*path).box = {}; });
  }
  for (base::Limit core::FinSettings::*const limit :
       {&core::FinSettings::hold_at_most, &core::FinSettings::half_closed_idle,
        &core::FinSettings::half_closed_total, &core::FinSettings::idle}) {
    shrinking.try_change([&](Scenario& smaller) { (smaller.route.fin.*limit).reset(); });
  }
  const core::FinSettings usual{};
  shrinking.try_change(
      [&](Scenario& smaller) { smaller.route.fin.release_when_quiet = usual.release_when_quiet; });
  shrinking.try_change([&](Scenario& smaller) { smaller.route.fin.closing = usual.closing; });
  return shrinking.scenario();
}

}  // namespace finhold::simulation
