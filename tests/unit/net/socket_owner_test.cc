#include "net/socket_owner.h"

#include <cerrno>
#include <cstring>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/tcp.h>
#include <random>
#include <vector>

#include <doctest/doctest.h>

#include "net/socket.h"

namespace finhold::tests {

using net::OtherEnd;

namespace {

constexpr std::uint32_t sequence = 7;
constexpr int no_shutdown = -1;

base::Address address(const char* text) { return base::Address::parse(text).value(); }

net::OtherEndAddresses addresses(const char* own, const char* believed) {
  return {address(own), address(believed)};
}

const net::OtherEndAddresses client = addresses("10.0.0.1:40000", "10.0.0.2:7000");

void set_end(const base::Address& end, __be16& port, __be32* to) {
  port = htons(end.port());
  if (end.family() == AF_INET) {
    std::memcpy(to, &reinterpret_cast<const sockaddr_in*>(end.raw())->sin_addr, 4);
  } else {
    std::memcpy(to, &reinterpret_cast<const sockaddr_in6*>(end.raw())->sin6_addr, 16);
  }
}

// As the kernel writes an answer: the message, and attributes around the one that is looked for.
std::vector<std::byte> answer(int state, std::uint32_t inode, int shutdown,
                              const net::OtherEndAddresses& about = client) {
  inet_diag_msg message{};
  message.idiag_family = static_cast<__u8>(about.own.family());
  message.idiag_state = static_cast<__u8>(state);
  message.idiag_inode = inode;
  set_end(about.own, message.id.idiag_sport, message.id.idiag_src);
  set_end(about.believed, message.id.idiag_dport, message.id.idiag_dst);

  std::vector<std::byte> bytes(NLMSG_HDRLEN);
  const auto append = [&bytes](const void* what, std::size_t length) {
    const auto* from = static_cast<const std::byte*>(what);
    bytes.insert(bytes.end(), from, from + length);
    while (bytes.size() % NLA_ALIGNTO != 0) bytes.push_back(std::byte{0});
  };
  const auto attribute = [&append](int type, std::uint8_t value) {
    const struct {
      nlattr header;
      std::uint8_t value;
    } one{{NLA_HDRLEN + 1, static_cast<__u16>(type)}, value};
    append(&one, NLA_HDRLEN + 1);
  };
  append(&message, sizeof message);
  attribute(INET_DIAG_TOS, 3);
  if (shutdown != no_shutdown) attribute(INET_DIAG_SHUTDOWN, static_cast<std::uint8_t>(shutdown));
  attribute(INET_DIAG_MARK, 1);
  const nlmsghdr header{static_cast<__u32>(bytes.size()), SOCK_DIAG_BY_FAMILY, 0, sequence, 0};
  std::memcpy(bytes.data(), &header, sizeof header);
  return bytes;
}

std::vector<std::byte> error_answer(int code) {
  struct {
    nlmsghdr header;
    nlmsgerr error;
  } message{{sizeof message, NLMSG_ERROR, 0, sequence, 0}, {code, {}}};
  const auto* from = reinterpret_cast<const std::byte*>(&message);
  return {from, from + sizeof message};
}

OtherEnd verdict(const std::vector<std::byte>& bytes,
                 const net::OtherEndAddresses& asked = client) {
  const auto answer = net::parse_socket_answer(bytes, sequence, asked);
  REQUIRE(answer.has_value());
  return answer->other_end;
}

}  // namespace

// The table of what was measured, by what the program at the other end has done.
TEST_CASE("who can still read is half-closed, everybody else who has sent a FIN is closed") {
  for (const int state : {TCP_FIN_WAIT1, TCP_FIN_WAIT2}) {
    CHECK(verdict(answer(state, 4711, 2)) == OtherEnd::half_closed);    // SHUT_WR
    CHECK(verdict(answer(state, 0, 3)) == OtherEnd::closed);            // close(), exit
    CHECK(verdict(answer(state, 4711, 3)) == OtherEnd::closed);         // SHUT_RDWR, SO_LINGER
    CHECK(verdict(answer(state, 0, no_shutdown)) == OtherEnd::closed);  // only its TIME_WAIT
    CHECK(verdict(answer(state, 0, 2)) == OtherEnd::closed);            // nobody owns it
    CHECK(verdict(answer(state, 4711, no_shutdown)) ==
          OtherEnd::unknown);  // no such answer is known
  }
}

TEST_CASE("a socket that has sent no FIN is not the one whose FIN was read") {
  for (const int state : {TCP_ESTABLISHED, TCP_SYN_SENT, TCP_SYN_RECV, TCP_CLOSE_WAIT}) {
    CHECK(verdict(answer(state, 4711, 0)) == OtherEnd::connected);
    CHECK(verdict(answer(state, 0, 3)) == OtherEnd::connected);
  }
}

TEST_CASE("what is not there is not found") {
  CHECK(verdict(error_answer(-ENOENT)) == OtherEnd::not_found);
  CHECK(verdict(error_answer(-EPERM)) == OtherEnd::unknown);
  CHECK(verdict(error_answer(0)) == OtherEnd::unknown);
}

TEST_CASE("a listening socket on the same port is no connection") {
  const auto bytes = answer(TCP_LISTEN, 4711, 0, addresses("10.0.0.1:40000", "0.0.0.0:0"));
  const auto found = net::parse_socket_answer(bytes, sequence, client);
  REQUIRE(found.has_value());
  CHECK(found->other_end == OtherEnd::not_found);
  CHECK(found->listening);
}

TEST_CASE("an answer about other addresses is none") {
  for (const auto& other :
       {addresses("10.0.0.1:40001", "10.0.0.2:7000"), addresses("10.0.0.9:40000", "10.0.0.2:7000"),
        addresses("10.0.0.1:40000", "10.0.0.2:7001"), addresses("10.0.0.1:40000", "10.0.0.9:7000"),
        addresses("[::1]:40000", "[::1]:7000")}) {
    CHECK(verdict(answer(TCP_FIN_WAIT2, 0, no_shutdown, other)) == OtherEnd::not_found);
  }
}

TEST_CASE("an IPv4-mapped address is an IPv4 address, on both sides") {
  const auto mapped = addresses("[::ffff:10.0.0.1]:40000", "[::ffff:10.0.0.2]:7000");
  CHECK(verdict(answer(TCP_FIN_WAIT2, 1, 2, mapped), client) == OtherEnd::half_closed);
  CHECK(verdict(answer(TCP_FIN_WAIT2, 1, 2, client), mapped) == OtherEnd::half_closed);
}

TEST_CASE("an answer to another question is passed over") {
  const auto bytes = answer(TCP_FIN_WAIT2, 0, 3);
  CHECK(!net::parse_socket_answer(bytes, sequence + 1, client).has_value());
}

TEST_CASE("a message that is cut short anywhere is no verdict that nobody reads") {
  const auto whole = answer(TCP_FIN_WAIT2, 4711, 2);
  for (std::size_t length = 0; length < whole.size(); ++length) {
    const std::vector<std::byte> part(whole.begin(),
                                      whole.begin() + static_cast<std::ptrdiff_t>(length));
    CHECK(verdict(part) == OtherEnd::unknown);
  }
}

TEST_CASE("no bytes whatever make the parser read beyond them") {
  std::mt19937 random(1);  // NOLINT: the same test every time
  const auto whole = answer(TCP_FIN_WAIT2, 4711, 2);
  for (int round = 0; round < 200'000; ++round) {
    auto bytes = whole;
    bytes.resize(random() % (whole.size() + 1));
    bytes.shrink_to_fit();
    for (std::uint32_t i = random() % 8; i > 0 && !bytes.empty(); --i) {
      bytes[random() % bytes.size()] = static_cast<std::byte>(random());
    }
    static_cast<void>(net::parse_socket_answer(bytes, sequence, client));
  }
}

TEST_CASE("attributes of impossible lengths end the search") {
  auto bytes = answer(TCP_FIN_WAIT2, 4711, 2);
  const std::size_t first = NLMSG_HDRLEN + sizeof(inet_diag_msg);
  for (const int length : {0, 1, 3, 60'000}) {
    const auto wrong = static_cast<__u16>(length);
    std::memcpy(bytes.data() + first, &wrong, sizeof wrong);
    CHECK(verdict(bytes) == OtherEnd::unknown);
  }
}

// With the kernel of this machine.
TEST_CASE("a socket that listens is found by the one who tries whether the kernel answers") {
  net::SocketOwner kernel;
  REQUIRE(kernel.error().code == 0);
  for (const char* where : {"127.0.0.1:0", "0.0.0.0:0", "[::1]:0", "[::]:0"}) {
    const auto listening = net::listen_tcp(address(where), true, {});
    REQUIRE(listening.ok());
    CHECK(kernel.try_with_listener(net::local_address(listening.value().get()).value()).code == 0);
  }
  CHECK(kernel.try_with_listener(address("127.0.0.1:1")).code == ENOENT);
}

}  // namespace finhold::tests
