// The kernel's notices that somebody has removed policy routing: rtnetlink(7).
#pragma once

#include <cstdint>

#include "base/error.h"
#include "net/descriptor.h"

namespace finhold::rules {

class PolicyRoutingMonitor {
 public:
  // code 0: take() hears of what is removed from now on, in this network namespace.
  base::Error open();

  // Readable when there are notices.
  [[nodiscard]] int fd() const { return socket_.get(); }

  // Takes what has come. Whether a rule of that priority, or a route of that table, is among what
  // was removed; or notices were lost, so that nobody knows.
  bool take(std::uint32_t priority, std::uint32_t table);

 private:
  net::Descriptor socket_;
};

}  // namespace finhold::rules
