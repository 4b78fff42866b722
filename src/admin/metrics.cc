#include "admin/metrics.h"

#include <array>
#include <cstdint>
#include <sstream>
#include <utility>
#include <vector>

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include "admin/reported_routes.h"
#include "base/side.h"
#include "core/ending.h"
#include "core/fin_policy.h"

namespace finhold::admin {
namespace {

using base::Flow;
using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using relay::RouteCounts;
using relay::Times;
using Labels = std::vector<ClientMetric::Label>;

constexpr std::array both_flows{Flow::to_server, Flow::to_client};

class Family {
 public:
  Family(const char* name, const char* help, MetricType type) : family_{name, help, type, {}} {}

  void add(Labels labels, double value) {
    ClientMetric metric;
    metric.label = std::move(labels);
    if (family_.type == MetricType::Counter) {
      metric.counter.value = value;
    } else {
      metric.gauge.value = value;
    }
    family_.metric.push_back(std::move(metric));
  }
  void add(Labels labels, std::uint64_t value) {
    add(std::move(labels), static_cast<double>(value));
  }

  void add(Labels labels, const Times& times) {
    ClientMetric metric;
    metric.label = std::move(labels);
    metric.histogram.sample_count = times.count();
    metric.histogram.sample_sum = static_cast<double>(times.sum()) / 1000;
    std::uint64_t cumulative = 0;
    for (std::size_t i = 0; i < Times::bounds.size(); ++i) {
      cumulative += times.in_bucket(i);
      metric.histogram.bucket.push_back({cumulative, static_cast<double>(Times::bounds[i]) / 1000});
    }
    family_.metric.push_back(std::move(metric));
  }

  [[nodiscard]] bool empty() const { return family_.metric.empty(); }

  [[nodiscard]] MetricFamily take() { return std::move(family_); }

 private:
  MetricFamily family_;
};

// Every label has its value from the start, so that the first event is a rise from 0.
void add_routes(std::vector<MetricFamily>& families, const Facts& facts, const Reports& reports) {
  Family sessions("finhold_sessions", "Sessions that are open.", MetricType::Gauge);
  Family limit("finhold_route_sessions_limit",
               "Sessions that a route may have open, where it has a limit of its own.",
               MetricType::Gauge);
  Family dialing("finhold_dialing_sessions", "Sessions that have no server yet.",
                 MetricType::Gauge);
  Family half_closed("finhold_half_closed_sessions",
                     "Sessions of which one flow has ended and the other goes on.",
                     MetricType::Gauge);
  Family held("finhold_held_fins", "FINs that are held back from a leg.", MetricType::Gauge);
  Family ended("finhold_sessions_total", "Sessions that have ended, by how.", MetricType::Counter);
  Family bytes("finhold_bytes_total", "Bytes that the sink of a flow has taken.",
               MetricType::Counter);
  Family fins("finhold_fins_released_total", "FINs that were sent on, by why.",
              MetricType::Counter);
  Family holds("finhold_fin_hold_seconds", "How long FINs were held that are not any more.",
               MetricType::Histogram);
  Family dials("finhold_dial_seconds",
               "How long it took to connect to the server, or to give that up.",
               MetricType::Histogram);
  for (const auto& told : reported_routes(facts, reports)) {
    const RouteFacts& route = told.first;
    const RouteCounts& counts = told.second;
    const auto labels = [&](const char* name = nullptr, const char* value = nullptr) {
      Labels all{{"route", route.name}};
      if (name != nullptr) all.push_back({name, value});
      return all;
    };
    sessions.add(labels(), counts.sessions);
    if (route.most_sessions != 0) limit.add(labels(), std::uint64_t{route.most_sessions});
    dialing.add(labels(), counts.dialing);
    half_closed.add(labels(), counts.half_closed);
    for (std::size_t i = 0; i < core::ending_count; ++i) {
      ended.add(labels("ending", core::name(static_cast<core::Ending>(i))), counts.endings[i]);
    }
    for (const Flow flow : both_flows) {
      const std::size_t index = base::index(flow);
      held.add(labels("leg", base::name(base::sink_of(flow))), counts.held[index]);
      bytes.add(labels("flow", base::name(flow)), counts.bytes[index]);
    }
    for (auto reason = core::Release::not_held;;
         reason = static_cast<core::Release>(static_cast<int>(reason) + 1)) {
      const auto of = [&](Flow flow) {
        return counts.fins[base::index(flow)][static_cast<std::size_t>(reason)];
      };
      if (reason == core::Release::other_ended) {  // which has a name for each flow
        for (const Flow flow : both_flows) {
          fins.add(labels("reason", core::name(reason, flow)), of(flow));
        }
      } else {
        fins.add(labels("reason", core::name(reason, Flow::to_server)),
                 of(Flow::to_server) + of(Flow::to_client));
      }
      if (static_cast<std::size_t>(reason) + 1 == core::release_count) break;
    }
    holds.add(labels(), counts.holds);
    dials.add(labels(), counts.dials);
  }
  for (Family* family :
       {&sessions, &limit, &dialing, &half_closed, &held, &ended, &bytes, &fins, &holds, &dials}) {
    if (!family->empty()) families.push_back(family->take());
  }
}

void add_ends(std::vector<MetricFamily>& families, const Reports& reports) {
  const auto add = [&](const char* name, const char* help, const char* label, const auto& ends,
                       std::uint64_t EndCounts::*count) {
    if (ends.empty()) return;
    Family family(name, help, MetricType::Gauge);
    for (const auto& [end, counts] : ends) family.add({{label, end}}, counts.*count);
    families.push_back(family.take());
  };
  add("finhold_tunnel_connections", "Connections to the far end that are ready.", "tunnel",
      reports.tunnels, &EndCounts::connections);
  add("finhold_tunnel_streams", "Streams on connections to the far end.", "tunnel", reports.tunnels,
      &EndCounts::streams);
  add("finhold_far_connections", "Connections of near ends.", "far", reports.fars,
      &EndCounts::connections);
  add("finhold_far_streams", "Streams on connections of near ends.", "far", reports.fars,
      &EndCounts::streams);
}

template <typename Value>
void add_one(std::vector<MetricFamily>& families, const char* name, const char* help,
             MetricType type, const std::optional<Value>& value) {
  if (!value) return;
  Family family(name, help, type);
  family.add({}, *value);
  families.push_back(family.take());
}

// Under the names that Prometheus' own libraries give them.
void add_process(std::vector<MetricFamily>& families, const Facts& facts,
                 const ProcessFigures& process) {
  const std::chrono::duration<double> started = facts.started.time_since_epoch();
  add_one(families, "process_start_time_seconds", "Start of the process, since 1970.",
          MetricType::Gauge, std::optional(started.count()));
  add_one(families, "process_cpu_seconds_total", "CPU time, user's and system's.",
          MetricType::Counter, process.cpu_seconds);
  add_one(families, "process_resident_memory_bytes", "Resident memory.", MetricType::Gauge,
          process.resident_bytes);
  add_one(families, "process_virtual_memory_bytes", "Virtual memory.", MetricType::Gauge,
          process.virtual_bytes);
  add_one(families, "process_open_fds", "Open file descriptors.", MetricType::Gauge,
          process.open_descriptors);
  add_one(families, "process_max_fds", "File descriptors that may be open.", MetricType::Gauge,
          process.most_descriptors);
}

}  // namespace

std::string metrics_text(const Facts& facts, const Reports& reports,
                         const ProcessFigures& process) {
  std::vector<MetricFamily> families;
  Family build("finhold_build_info", "Always 1; the version is a label.", MetricType::Gauge);
  build.add({{"version", facts.version}}, 1.0);
  families.push_back(build.take());
  add_one(families, "finhold_workers", "Threads that relay.", MetricType::Gauge,
          std::optional(static_cast<std::uint64_t>(reports.workers)));
  add_one(families, "finhold_sessions_limit", "Sessions that may be open.", MetricType::Gauge,
          std::optional(static_cast<std::uint64_t>(facts.most_sessions)));
  add_one(families, "finhold_config_last_reload_successful",
          "1 if finhold runs with the file as it was when it was last told to read it, else 0.",
          MetricType::Gauge, std::optional(facts.reload_failed ? 0.0 : 1.0));
  const std::chrono::duration<double> configured = facts.configured.time_since_epoch();
  add_one(families, "finhold_config_last_reload_success_timestamp_seconds",
          "When the configuration that it runs with was read, since 1970.", MetricType::Gauge,
          std::optional(configured.count()));
  if (facts.rules) {
    add_one(families, "finhold_rules_loaded",
            "1 if all that --apply-rules has loaded is there, else 0.", MetricType::Gauge,
            std::optional(facts.rules->missing ? 0.0 : 1.0));
    add_one(families, "finhold_rules_restored_total",
            "How often rules were loaded again, since somebody had removed them.",
            MetricType::Counter, std::optional(facts.rules->restored));
  }
  add_routes(families, facts, reports);
  add_ends(families, reports);
  add_process(families, facts, process);
  std::ostringstream out;
  prometheus::TextSerializer().Serialize(out, families);
  return out.str();
}

}  // namespace finhold::admin
