// What finhold says of itself over HTTP: which path gets what.
//
//   /             the status page
//   /status.json  what it shows
//   /metrics      the same for Prometheus, in its text format 0.0.4
//   /healthz      200 if every worker answers within a second, and what --apply-rules has loaded is
//                 there; else 503
//   /readyz       200 until finhold is told to stop, then 503; and while a tunnel that a route uses
//                 has no connection, unless [admin] says otherwise
#pragma once

#include <optional>
#include <utility>

#include "admin/collector.h"
#include "admin/facts.h"
#include "admin/http.h"

namespace finhold::admin {

// On the loop's thread.
class Site {
 public:
  // `only_here`: it is listened on loopback only. Then requests must name this machine by a number
  // or as localhost: a web page whose name was made to point here (DNS rebinding) gets nothing.
  Site(Facts facts, bool only_here) : facts_(std::move(facts)), only_here_(only_here) {}

  [[nodiscard]] bool needs_reports(const Request& request) const;
  // `reports`: if it needs them; nullptr: a worker does not answer.
  [[nodiscard]] Answer answer(const Request& request, const Reports* reports) const;

  void stop() { stopping_ = true; }

  // From now on these.
  void tell(Facts facts) { facts_ = std::move(facts); }

 private:
  [[nodiscard]] std::optional<Answer> refusal(const Request& request) const;
  [[nodiscard]] bool asks_tunnels() const;
  [[nodiscard]] Answer readiness(const Reports& reports) const;

  Facts facts_;
  bool only_here_;
  bool stopping_ = false;
};

}  // namespace finhold::admin
