// Asks the kernel what has become of the other end of a connection, where that end is a socket of
// our own network namespace: closed, so that nobody reads any more, or only half-closed. On the
// wire both are the same FIN; the kernel knows, because it keeps that socket too. By
// NETLINK_SOCK_DIAG (sock_diag(7)): no privilege is needed, and an answer costs about 4 us.
//
// What is not found may be remote, or rewritten by a NAT of this machine, or bound to a device:
// nothing follows. An MPTCP client that has closed looks half-closed for some time, and is held as
// one. (2026-11-22; tests/unit/net/socket_owner_test.cc.)
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "base/address.h"
#include "base/error.h"
#include "net/descriptor.h"

namespace finhold::net {

enum class OtherEnd : std::uint8_t {
  unknown,      // no usable answer
  not_found,    // not in this namespace, or no more; or a NAT of this machine has rewritten its
                // address, which the kernel then knows by its own
  connected,    // a socket with these addresses that has sent no FIN: if one was read, it is not
                // the other end (two transparent sockets of a gateway can have mirrored addresses)
  half_closed,  // it has sent its FIN, and a process can still read
  closed,       // it has sent its FIN, and nobody can read: close(), exit, SHUT_RDWR
};

// The addresses of the socket at the other end, in its own eyes.
struct OtherEndAddresses {
  base::Address own;
  base::Address believed;  // what it takes itself to be connected to
};

// The meaning of one answer.
struct SocketAnswer {
  OtherEnd other_end = OtherEnd::unknown;
  bool listening = false;  // it is about a socket that listens at the own address instead
};

// One netlink socket. On one thread.
class SocketOwner {
 public:
  // Without the netlink socket every answer is `unknown`; error() says why.
  SocketOwner();

  [[nodiscard]] const base::Error& error() const { return error_; }

  // Never blocks. The believed address is the local one of our end, unless a rule of this machine
  // has diverted the connection to us. Sockets that are bound to a device are not found.
  OtherEnd ask(const OtherEndAddresses& addresses);

  // Whether the kernel can be asked at all, found out by asking for a socket of our own that
  // listens at `address`. code 0: it can. ENOENT: it has no tcp_diag.
  base::Error try_with_listener(const base::Address& address);

 private:
  SocketAnswer exchange(const OtherEndAddresses& addresses);

  base::Error error_;
  Descriptor fd_;
  std::uint32_t sequence_ = 0;
  alignas(8) std::array<std::byte, 1024> buffer_{};  // answers have about 150 bytes
};

// For ask(): the addresses of our end, turned round. Nothing if it is not connected any more.
std::optional<OtherEndAddresses> other_end_of(int fd);

// Reads one datagram of the kernel, which answers question number `sequence`; any bytes whatever.
// Nothing: it answers another question.
std::optional<SocketAnswer> parse_socket_answer(std::span<const std::byte> datagram,
                                                std::uint32_t sequence,
                                                const OtherEndAddresses& addresses);

}  // namespace finhold::net
