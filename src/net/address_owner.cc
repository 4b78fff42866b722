#include "net/address_owner.h"

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/descriptor.h"

namespace finhold::net {
namespace {

constexpr const char* asking = "asking the kernel for a route";

// One question of RTM_GETROUTE, and its attributes (rtnetlink(7)).
class Question {
 public:
  Question(const base::Address& to, std::uint32_t mark, std::uint32_t sequence) {
    nlmsghdr header{};
    header.nlmsg_type = RTM_GETROUTE;
    header.nlmsg_flags = NLM_F_REQUEST;
    header.nlmsg_seq = sequence;
    rtmsg route{};
    route.rtm_family = static_cast<unsigned char>(to.family());
    route.rtm_dst_len = to.family() == AF_INET ? 32 : 128;
    add(&header, sizeof header);
    add(&route, sizeof route);
    if (to.family() == AF_INET) {
      sockaddr_in v4{};
      std::memcpy(&v4, to.raw(), sizeof v4);
      attribute(RTA_DST, v4.sin_addr);
    } else {
      sockaddr_in6 v6{};
      std::memcpy(&v6, to.raw(), sizeof v6);
      attribute(RTA_DST, v6.sin6_addr);
      if (v6.sin6_scope_id != 0) attribute(RTA_OIF, v6.sin6_scope_id);
    }
    if (mark != 0) attribute(RTA_MARK, mark);
    // Rules may ask for these too.
    attribute(RTA_IP_PROTO, std::uint8_t{IPPROTO_TCP});
    if (to.port() != 0) attribute(RTA_DPORT, htons(to.port()));
    header.nlmsg_len = static_cast<std::uint32_t>(size_);
    std::memcpy(bytes_.data(), &header, sizeof header);
  }

  [[nodiscard]] std::span<const std::byte> bytes() const { return std::span(bytes_).first(size_); }

 private:
  template <typename Value>
  void attribute(unsigned short type, const Value& value) {
    const rtattr header{static_cast<unsigned short>(RTA_LENGTH(sizeof value)), type};
    add(&header, sizeof header);
    add(&value, sizeof value);
  }

  void add(const void* bytes, std::size_t count) {
    std::memcpy(bytes_.data() + size_, bytes, count);
    size_ += NLMSG_ALIGN(count);
  }

  std::array<std::byte, 128> bytes_{};
  std::size_t size_ = 0;
};

// There is no way, or none for us: a dial finds that too, and says it better.
bool is_no_way(int code) {
  return code == ENETUNREACH || code == EHOSTUNREACH || code == EACCES || code == ENODEV ||
         code == ENETDOWN;
}

AddressOwner owner_by(unsigned char route_type) {
  switch (route_type) {
    case RTN_LOCAL:
    case RTN_ANYCAST:  // of this host's too
      return AddressOwner::this_host;
    case RTN_BROADCAST:
      return AddressOwner::broadcast;
    default:
      return AddressOwner::other_host;
  }
}

base::Result<AddressOwner> ask(int fd, const base::Address& address, std::uint32_t mark,
                               std::uint32_t sequence) {
  const Question question(address, mark, sequence);
  if (::send(fd, question.bytes().data(), question.bytes().size(), 0) < 0) {
    return base::Error{errno, asking};
  }
  // The answer is there already: the kernel made it within send().
  std::array<std::byte, 4096> answer{};
  const ssize_t received = ::recv(fd, answer.data(), answer.size(), MSG_DONTWAIT);
  if (received < 0) return base::Error{errno, asking};
  const auto size = static_cast<std::size_t>(received);
  nlmsghdr header{};
  if (size < sizeof header) return base::Error{EPROTO, asking};
  std::memcpy(&header, answer.data(), sizeof header);
  if (header.nlmsg_seq != sequence) return base::Error{EPROTO, asking};
  if (header.nlmsg_type == NLMSG_ERROR && size >= NLMSG_LENGTH(sizeof(nlmsgerr))) {
    nlmsgerr error{};
    std::memcpy(&error, answer.data() + NLMSG_HDRLEN, sizeof error);
    if (is_no_way(-error.error)) return AddressOwner::other_host;
    return base::Error{error.error < 0 ? -error.error : EPROTO, asking};
  }
  if (header.nlmsg_type != RTM_NEWROUTE || size < NLMSG_LENGTH(sizeof(rtmsg))) {
    return base::Error{EPROTO, asking};
  }
  rtmsg route{};
  std::memcpy(&route, answer.data() + NLMSG_HDRLEN, sizeof route);
  return owner_by(route.rtm_type);
}

}  // namespace

base::Result<std::vector<AddressOwner>> owners_of(std::span<const base::Address> addresses,
                                                  std::uint32_t mark) {
  const Descriptor kernel(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (!kernel.valid()) return base::Error{errno, asking};
  std::vector<AddressOwner> owners;
  for (const base::Address& address : addresses) {
    const auto owner =
        ask(kernel.get(), address, mark, static_cast<std::uint32_t>(owners.size() + 1));
    if (!owner.ok()) return owner.error();
    owners.push_back(owner.value());
  }
  return owners;
}

}  // namespace finhold::net
