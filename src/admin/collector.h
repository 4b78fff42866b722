// Asks every worker how it fares, and puts the answers together. A worker is asked by a wake-up of
// its loop, and answers with a value of its own making: nothing is shared while bytes move.
#pragma once

#include <cstddef>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "admin/worker_report.h"
#include "net/loop.h"
#include "net/timers.h"

namespace finhold::admin {

// What all workers have told, put together.
struct Reports {
  // By name.
  std::map<std::string, relay::RouteCounts> routes;
  std::map<std::string, EndCounts> tunnels;
  std::map<std::string, EndCounts> fars;
  // At most `listed`: half-closed ones first, and of each kind the oldest first.
  std::vector<relay::SessionState> sessions;
  std::size_t workers = 0;

  static constexpr std::size_t listed = 2 * relay::most_listed;
};

// A worker, as it is asked.
class Reporter {
 public:
  // Any thread. Collector::take() follows soon, on the worker's thread.
  virtual void ask_report() = 0;

 protected:
  ~Reporter() = default;
};

// On the loop's thread, but for take(). Outlives the workers.
class Collector final : private net::Wake::Listener, private net::Timer {
 public:
  static constexpr net::Instant answer_within_ms = 1'000;

  class Reader {
   public:
    // Told once for each ask(), perhaps within it. nullptr: some worker has not answered in time.
    // `reports` is valid in the call.
    virtual void on_reports(const Reports* reports) = 0;

   protected:
    ~Reader() = default;
  };

  Collector(net::Loop& loop, net::Timers& timers);
  Collector(const Collector&) = delete;
  Collector& operator=(const Collector&) = delete;

  // Before the worker runs. Returns its place, which it gives take().
  std::size_t add(Reporter& reporter);

  void ask(Reader& reader);
  void forget(Reader& reader) { std::erase(readers_, &reader); }

  // Any thread. `last`: the worker is over, and is not to be asked any more.
  void take(std::size_t place, WorkerReport report, bool last);

 private:
  // However many ask, the workers are asked at most so often.
  static constexpr net::Instant fresh_ms = 200;

  struct Place {
    Reporter* reporter;
    WorkerReport report;
    bool answered = false;  // in this round
    bool over = false;
  };
  struct Arrival {
    std::size_t place;
    WorkerReport report;
    bool last;
  };

  void on_wake() override;
  void on_time() override;
  void settle();
  void put_together();
  void tell(const Reports* reports);

  net::Loop& loop_;
  net::Wake wake_;
  std::vector<Place> places_;
  std::vector<Reader*> readers_;
  Reports reports_;
  net::Instant made_at_ = 0;  // reports_; 0: not yet
  std::mutex mutex_;          // of arrivals_
  std::vector<Arrival> arrivals_;
};

}  // namespace finhold::admin
