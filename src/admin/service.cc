#include "admin/service.h"

#include <string>
#include <utility>

#include "net/socket.h"

namespace finhold::admin {
namespace {

bool is_loopback(const base::Address& address) {
  const std::string text = address.text();
  return text.starts_with("127.") || text.starts_with("[::1]");
}

}  // namespace

Service::Service(Facts facts, net::Descriptor listening, net::Loop& loop, net::Poller& poller,
                 net::Timers& timers)
    : site_(std::move(facts), is_loopback(net::local_address(listening.get()))),
      collector_(loop, timers),
      server_(site_, collector_, loop, poller, timers, std::move(listening)) {}

}  // namespace finhold::admin
