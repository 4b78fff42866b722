#include "admin/service.h"

#include <string>
#include <system_error>
#include <utility>

#include "net/socket.h"

namespace finhold::admin {
namespace {

bool is_loopback(int socket) {
  const auto address = net::local_address(socket);
  if (!address.ok()) {
    throw std::system_error(address.error().code, std::generic_category(),
                            address.error().operation);
  }
  const std::string text = address.value().text();
  return text.starts_with("127.") || text.starts_with("[::1]");
}

}  // namespace

Service::Service(Facts facts, net::Descriptor listening, net::Loop& loop, net::Poller& poller,
                 net::Timers& timers)
    : site_(std::move(facts), is_loopback(listening.get())),
      collector_(loop, timers),
      server_(site_, collector_, loop, poller, timers, std::move(listening)) {}

}  // namespace finhold::admin
