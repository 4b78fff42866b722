// What is told to Prometheus. The names, their labels and what they mean are a contract with
// dashboards and alerts: they may be added to, and never change.
#pragma once

#include <string>

#include "admin/collector.h"
#include "admin/facts.h"
#include "admin/process_figures.h"

namespace finhold::admin {

// In the text format 0.0.4.
std::string metrics_text(const Facts& facts, const Reports& reports, const ProcessFigures& process);

}  // namespace finhold::admin
