#include "tunnel/far_look_up.h"

#include <cerrno>
#include <utility>

#include "base/network.h"

namespace finhold::tunnel {

FarLookUp::FarLookUp(Owner& owner, net::Timers& timers, net::Resolver& resolver, FarAsker asker,
                     Destination destination, std::string name)
    : net::Timer(timers),
      owner_(owner),
      resolver_(resolver),
      asker_(std::move(asker)),
      destination_(std::move(destination)),
      name_(std::move(name)) {
  asker_.stream.set_events(*this);
}

FarLookUp::~FarLookUp() {
  if (resolving_) resolver_.forget(*this);
}

void FarLookUp::start(net::Instant until) {
  arm(until);
  const int failure = resolver_.resolve({name_, destination_.port}, *this,
                                        base::Network::of_source(asker_.near).text());
  if (failure != 0) return owner_.on_looked_up(*this, {}, {failure, "getaddrinfo"});
  resolving_ = true;
}

void FarLookUp::on_answer(int /*status*/) {}  // of near ends only

// Optimistic data waits in the stream's window, and its end too.
void FarLookUp::on_readable() {}
void FarLookUp::on_writable() {}

void FarLookUp::on_reset(http2::ErrorCode /*code*/) {
  asker_.stream.forget();
  asker_.connection.touch();
  owner_.on_abandoned(*this);
}

void FarLookUp::on_resolved(const std::vector<base::Address>& addresses, int error) {
  resolving_ = false;
  owner_.on_looked_up(*this, addresses, {error, "getaddrinfo"});
}

void FarLookUp::on_time() { owner_.on_looked_up(*this, {}, {ETIMEDOUT, "getaddrinfo"}); }

}  // namespace finhold::tunnel
