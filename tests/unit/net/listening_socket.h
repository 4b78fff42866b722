// A port of 127.0.0.1.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <doctest/doctest.h>

#include "base/address.h"
#include "net/descriptor.h"
#include "net/socket.h"

namespace finhold::tests {

// Nobody accepts but the kernel. With a backlog of 0 it does not listen: connections are refused.
struct ListeningSocket {
  explicit ListeningSocket(int backlog = 1) : fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in wanted{};
    wanted.sin_family = AF_INET;
    wanted.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(bind(fd.get(), reinterpret_cast<sockaddr*>(&wanted), sizeof wanted) == 0);
    if (backlog > 0) REQUIRE(listen(fd.get(), backlog) == 0);
    address = net::local_address(fd.get()).value();
  }

  net::Descriptor fd;
  base::Address address;
};

}  // namespace finhold::tests
