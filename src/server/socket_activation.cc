#include "server/socket_activation.h"

#include <algorithm>
#include <cstdlib>
#include <fcntl.h>
#include <memory>
#include <systemd/sd-daemon.h>
#include <utility>

#include "config/messages.h"
#include "net/socket.h"

namespace finhold::server {
namespace {

struct FreeNames {
  void operator()(char** names) const {
    for (char** each = names; *each != nullptr; ++each) std::free(*each);
    std::free(names);
  }
};

}  // namespace

PassedSockets::PassedSockets(std::vector<PassedSocket> sockets, std::vector<std::string> names)
    : sockets_(std::move(sockets)), names_(std::move(names)) {}

base::Result<PassedSockets, base::Mistake> PassedSockets::from_systemd(
    std::vector<std::string> names) {
  char** raw = nullptr;
  const int count = sd_listen_fds_with_names(1, &raw);
  if (count < 0) {
    return base::Mistake{"LISTEN_FDS, LISTEN_PID or LISTEN_FDNAMES in the environment: " +
                         base::errno_text(-count)};
  }
  if (count == 0) return PassedSockets({}, std::move(names));
  const std::unique_ptr<char*, FreeNames> told(raw);
  std::vector<PassedSocket> sockets;
  for (int i = 0; i < count; ++i) {
    const std::string name = told.get()[i];
    net::Descriptor socket(SD_LISTEN_FDS_START + i);
    if (!net::is_tcp_listener(socket.get())) {
      return base::Mistake{"the socket " + config::in_quotes(name) +
                           " is not one that listens for TCP; a .socket unit for finhold has "
                           "ListenStream= with an address and a port, and Accept=no"};
    }
    const auto address = net::local_address(socket.get());
    if (!address.ok()) {
      return base::Mistake{"the socket " + config::in_quotes(name) +
                           " does not say where it listens: " + address.error().text()};
    }
    sockets.push_back({name, address.value(), std::move(socket)});
  }
  return PassedSockets(std::move(sockets), std::move(names));
}

std::vector<PassedSocket> PassedSockets::take(std::string_view name, const base::Address& address) {
  const auto others = std::stable_partition(
      sockets_.begin(), sockets_.end(), [this, name, &address](const PassedSocket& each) {
        if (each.name == name) return false;
        const bool named = std::find(names_.begin(), names_.end(), each.name) != names_.end();
        return named || each.address != address;
      });
  std::vector<PassedSocket> taken(std::make_move_iterator(others),
                                  std::make_move_iterator(sockets_.end()));
  sockets_.erase(others, sockets_.end());
  return taken;
}

std::optional<base::Mistake> PassedSockets::left() const {
  if (sockets_.empty()) return std::nullopt;
  std::vector<std::string> texts;
  for (const PassedSocket& each : sockets_) {
    texts.push_back(config::in_quotes(each.name) + " at " + each.address.text());
  }
  return base::Mistake{
      "no route or far end wants " + config::listed(texts, "and") +
      "; let FileDescriptorName= of the .socket unit be the name of one, or let one have that "
      "address in listen"};
}

base::Result<std::vector<net::Descriptor>> share(net::Descriptor socket, std::uint32_t workers) {
  std::vector<net::Descriptor> sockets;
  while (sockets.size() + 1 < workers) {
    net::Descriptor copy(fcntl(socket.get(), F_DUPFD_CLOEXEC, 0));
    if (!copy.valid()) return base::Error{errno, "fcntl"};
    sockets.push_back(std::move(copy));
  }
  sockets.push_back(std::move(socket));
  return sockets;
}

}  // namespace finhold::server
