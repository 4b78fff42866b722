// Listening sockets that systemd has opened and keeps open (socket activation, sd_listen_fds(3)):
// whoever connects while finhold is restarted waits in their queue, and is served by the next one.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/result.h"
#include "net/descriptor.h"

namespace finhold::server {

struct PassedSocket {
  std::string name;  // FileDescriptorName= of its .socket unit; without it the name of that unit
  base::Address address;
  net::Descriptor socket;
};

// On the main thread.
class PassedSockets {
 public:
  // `names`: of all that listens, by which sockets are asked for later; a socket with such a name
  // is for that one only.
  PassedSockets(std::vector<PassedSocket> sockets, std::vector<std::string> names);

  // Those of this process; the environment tells of them once. Usually there are none.
  static base::Result<PassedSockets, base::Mistake> from_systemd(std::vector<std::string> names);

  // Those with that name, and those at that address whose name is nobody's.
  std::vector<PassedSocket> take(std::string_view name, const base::Address& address);

  // What is wrong with those that nobody has taken.
  [[nodiscard]] std::optional<base::Mistake> left() const;

 private:
  std::vector<PassedSocket> sockets_;
  std::vector<std::string> names_;
};

// The same socket once for each worker: the kernel keeps one queue, and tells all of them. (A
// socket of its own for each, by SO_REUSEPORT, would need systemd's user, and lose its queue with
// finhold.) Each worker has a descriptor of it in its epoll, level-triggered, and who is first
// accepts. Not EPOLLEXCLUSIVE: the kernel would tell the same idle worker each time, and it would
// have all the sessions. systemd holds the same open socket, so closing a descriptor does not take
// it out of an epoll (Poller::remove). What waits at a stop is left to the next finhold, which has
// its whole life before it. (2026-11-22; tests/integration/operation/test_systemd.py.)
base::Result<std::vector<net::Descriptor>> share(net::Descriptor socket, std::uint32_t workers);

}  // namespace finhold::server
