#include "admin/collector.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace finhold::admin {

Collector::Collector(net::Loop& loop, net::Timers& timers)
    : net::Timer(timers), loop_(loop), wake_(loop, *this) {}

std::size_t Collector::add(Reporter& reporter) {
  places_.push_back({&reporter, {}});
  return places_.size() - 1;
}

void Collector::ask(Reader& reader) {
  if (made_at_ != 0 && loop_.now() < made_at_ + fresh_ms) return reader.on_reports(&reports_);
  readers_.push_back(&reader);
  if (armed()) return;  // a round is under way
  arm(loop_.now() + answer_within_ms);
  for (Place& place : places_) {
    place.answered = place.over;
    if (!place.over) place.reporter->ask_report();
  }
  settle();
}

void Collector::take(std::size_t place, WorkerReport report, bool last) {
  {
    const std::lock_guard lock(mutex_);
    arrivals_.push_back({place, std::move(report), last});
  }
  wake_.call();
}

void Collector::on_wake() {
  std::vector<Arrival> arrivals;
  {
    const std::lock_guard lock(mutex_);
    arrivals.swap(arrivals_);
  }
  for (Arrival& arrival : arrivals) {
    Place& place = places_.at(arrival.place);
    place.report = std::move(arrival.report);
    place.answered = true;
    place.over = place.over || arrival.last;
  }
  settle();
}

void Collector::on_time() { tell(nullptr); }

void Collector::settle() {
  const bool all = std::all_of(places_.begin(), places_.end(),
                               [](const Place& place) { return place.answered; });
  if (!armed() || !all) return;
  disarm();
  put_together();
  tell(&reports_);
}

void Collector::put_together() {
  reports_ = {};
  reports_.workers = places_.size();
  for (Place& place : places_) {
    for (const auto& [name, counts] : place.report.sessions.routes) reports_.routes[name] += counts;
    for (const auto& [name, counts] : place.report.tunnels) reports_.tunnels[name] += counts;
    for (const auto& [name, counts] : place.report.fars) reports_.fars[name] += counts;
    auto& sessions = place.report.sessions.sessions;
    std::move(sessions.begin(), sessions.end(), std::back_inserter(reports_.sessions));
    sessions.clear();
  }
  const auto order = [](const relay::SessionState& one, const relay::SessionState& two) {
    return std::make_tuple(!one.half_closed, one.id) < std::make_tuple(!two.half_closed, two.id);
  };
  std::sort(reports_.sessions.begin(), reports_.sessions.end(), order);
  if (reports_.sessions.size() > Reports::listed) {
    reports_.sessions.erase(reports_.sessions.begin() + Reports::listed, reports_.sessions.end());
  }
  made_at_ = loop_.now();
}

void Collector::tell(const Reports* reports) {
  // One may go while another is told.
  while (!readers_.empty()) {
    Reader* const reader = readers_.back();
    readers_.pop_back();
    reader->on_reports(reports);
  }
}

}  // namespace finhold::admin
