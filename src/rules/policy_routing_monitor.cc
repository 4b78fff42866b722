#include "rules/policy_routing_monitor.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <linux/fib_rules.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <optional>
#include <span>
#include <sys/socket.h>
#include <utility>

namespace finhold::rules {
namespace {

constexpr std::uint32_t group(unsigned number) { return 1U << (number - 1); }

template <typename Part>
std::optional<Part> first(std::span<const std::byte> bytes) {
  if (bytes.size() < sizeof(Part)) return std::nullopt;
  Part part;
  std::memcpy(&part, bytes.data(), sizeof part);
  return part;
}

// The 32 bits of an attribute, if it is there.
std::optional<std::uint32_t> attribute(std::span<const std::byte> rest, std::uint16_t type) {
  while (const auto header = first<rtattr>(rest)) {
    if (header->rta_len < sizeof(rtattr) || header->rta_len > rest.size()) break;
    const auto value = rest.subspan(sizeof(rtattr), header->rta_len - sizeof(rtattr));
    if (header->rta_type == type) return first<std::uint32_t>(value);
    rest = rest.subspan(std::min<std::size_t>(RTA_ALIGN(header->rta_len), rest.size()));
  }
  return std::nullopt;
}

bool is_removal(const nlmsghdr& header, std::span<const std::byte> body, std::uint32_t priority,
                std::uint32_t table) {
  // Both kinds have a fixed part of the same size before their attributes.
  static_assert(sizeof(rtmsg) == sizeof(fib_rule_hdr));
  if (body.size() < sizeof(rtmsg)) return false;
  const auto attributes = body.subspan(sizeof(rtmsg));
  if (header.nlmsg_type == RTM_DELRULE) return attribute(attributes, FRA_PRIORITY) == priority;
  return header.nlmsg_type == RTM_DELROUTE && attribute(attributes, RTA_TABLE) == table;
}

}  // namespace

base::Error PolicyRoutingMonitor::open() {
  net::Descriptor socket(
      ::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE));
  if (!socket.valid()) return {errno, "socket"};
  sockaddr_nl wanted{};
  wanted.nl_family = AF_NETLINK;
  wanted.nl_groups = group(RTNLGRP_IPV4_RULE) | group(RTNLGRP_IPV6_RULE) |
                     group(RTNLGRP_IPV4_ROUTE) | group(RTNLGRP_IPV6_ROUTE);
  if (bind(socket.get(), reinterpret_cast<const sockaddr*>(&wanted), sizeof wanted) != 0) {
    return {errno, "bind"};
  }
  socket_ = std::move(socket);
  return {};
}

bool PolicyRoutingMonitor::take(std::uint32_t priority, std::uint32_t table) {
  std::array<std::byte, 16384> buffer{};
  bool found = false;
  // Bounded: a router that learns a full table has a thousand of them a second.
  for (int i = 0; i < 256; ++i) {
    const ssize_t size = recv(socket_.get(), buffer.data(), buffer.size(), 0);
    if (size <= 0) return found || (size < 0 && errno == ENOBUFS);
    std::span<const std::byte> rest(buffer.data(), static_cast<std::size_t>(size));
    while (const auto header = first<nlmsghdr>(rest)) {
      if (header->nlmsg_len < sizeof(nlmsghdr) || header->nlmsg_len > rest.size()) break;
      const auto body = rest.subspan(sizeof(nlmsghdr), header->nlmsg_len - sizeof(nlmsghdr));
      found = found || is_removal(*header, body, priority, table);
      rest = rest.subspan(std::min<std::size_t>(NLMSG_ALIGN(header->nlmsg_len), rest.size()));
    }
  }
  return found;
}

}  // namespace finhold::rules
