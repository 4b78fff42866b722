// [admin] as a whole: what is listened on, asked and answered.
#pragma once

#include <utility>

#include "admin/collector.h"
#include "admin/facts.h"
#include "admin/http_server.h"
#include "admin/site.h"
#include "base/error.h"
#include "net/descriptor.h"
#include "net/loop.h"
#include "net/poller.h"
#include "net/timers.h"

namespace finhold::admin {

// On the loop's thread, which is none that relays. Outlives the workers' threads.
class Service {
 public:
  // `listening` is non-blocking and has leg options; everything referred to outlives this.
  Service(Facts facts, net::Descriptor listening, net::Loop& loop, net::Poller& poller,
          net::Timers& timers);

  // Workers report to it, from before they run.
  [[nodiscard]] Collector& collector() { return collector_; }

  // code 0: it answers from now on.
  base::Error start() { return server_.start(); }

  // The configuration has changed.
  void tell(Facts facts) { site_.tell(std::move(facts)); }

  // finhold was told to stop: it is not ready any more.
  void stop() { site_.stop(); }

 private:
  Site site_;
  Collector collector_;
  HttpServer server_;
};

}  // namespace finhold::admin
