#include "rules/lock.h"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <string_view>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>

namespace finhold::rules {
namespace {

constexpr std::string_view table_name = "finhold-lock";

// The comment of a table as nft(8) stores it (NFTNL_UDATA_TABLE_COMMENT): its kind, its length, and
// the text with a 0 behind it.
constexpr char comment_kind = 0;

template <typename Part>
void append(std::string& bytes, const Part& part) {
  bytes.append(reinterpret_cast<const char*>(&part), sizeof part);
}

void align(std::string& bytes) { bytes.resize(NLMSG_ALIGN(bytes.size())); }

std::string attribute(std::uint16_t type, std::string_view value) {
  std::string bytes;
  append(bytes, nlattr{static_cast<std::uint16_t>(NLA_HDRLEN + value.size()), type});
  bytes += value;
  align(bytes);
  return bytes;
}

std::string message(int type, int flags, std::uint8_t family, int resource,
                    const std::string& attributes) {
  std::string bytes;
  nlmsghdr header{};
  header.nlmsg_len =
      static_cast<std::uint32_t>(NLMSG_HDRLEN + sizeof(nfgenmsg) + attributes.size());
  header.nlmsg_type = static_cast<std::uint16_t>(type);
  header.nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags);
  append(bytes, header);
  append(bytes, nfgenmsg{family, NFNETLINK_V0, htons(static_cast<std::uint16_t>(resource))});
  return bytes + attributes;
}

std::string of_tables(int operation, int flags, const std::string& attributes) {
  return message(NFNL_SUBSYS_NFTABLES << 8 | operation, flags, NFPROTO_INET, 0,
                 attribute(NFTA_TABLE_NAME, std::string(table_name) + '\0') + attributes);
}

std::string batch_edge(int type) { return message(type, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES, ""); }

// The kernel answers while the question is being sent.
std::string answer_to(int fd, const std::string& question) {
  std::string answer(4096, '\0');
  ssize_t length = send(fd, question.data(), question.size(), 0);
  if (length >= 0) length = recv(fd, answer.data(), answer.size(), MSG_DONTWAIT);
  answer.resize(length > 0 ? static_cast<std::size_t>(length) : 0);
  return answer;
}

net::Descriptor netlink_socket() {
  return net::Descriptor(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER));
}

nlmsghdr header_of(const std::string& answer) {
  nlmsghdr header{};
  if (answer.size() >= sizeof header) std::memcpy(&header, answer.data(), sizeof header);
  return header;
}

// The errno of an answer that is one; 0 is an acknowledgement.
int outcome(const std::string& answer) {
  int code = -EIO;
  if (header_of(answer).nlmsg_type == NLMSG_ERROR && answer.size() >= NLMSG_HDRLEN + sizeof code) {
    std::memcpy(&code, answer.data() + NLMSG_HDRLEN, sizeof code);
  }
  return -code;
}

// What the table says of itself, if it is there.
std::optional<std::string> user_data() {
  const net::Descriptor fd = netlink_socket();
  if (!fd.valid()) return std::nullopt;
  const std::string answer = answer_to(fd.get(), of_tables(NFT_MSG_GETTABLE, 0, ""));
  if (header_of(answer).nlmsg_type != (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWTABLE)) {
    return std::nullopt;
  }
  std::string_view rest(answer);
  rest.remove_prefix(std::min(rest.size(), NLMSG_HDRLEN + sizeof(nfgenmsg)));
  nlattr each{};
  while (rest.size() >= sizeof each) {
    std::memcpy(&each, rest.data(), sizeof each);
    if (each.nla_len < sizeof each || each.nla_len > rest.size()) break;
    if ((each.nla_type & NLA_TYPE_MASK) == NFTA_TABLE_USERDATA) {
      return std::string(rest.substr(NLA_HDRLEN, each.nla_len - NLA_HDRLEN));
    }
    rest.remove_prefix(std::min<std::size_t>(rest.size(), NLA_ALIGN(each.nla_len)));
  }
  return "";
}

}  // namespace

// EPERM and no table: no CAP_NET_ADMIN; or another process had the table and is gone since.
base::Error RulesLock::take() {
  base::Error error = attempt();
  for (int again = 0; again < 3 && error.code == EPERM; ++again) error = attempt();
  return error;
}

base::Error RulesLock::attempt() {
  net::Descriptor fd = netlink_socket();
  if (!fd.valid()) return {errno, "socket"};
  const std::string comment =
      "pid " + std::to_string(getpid()) + ", uid " + std::to_string(getuid());
  const std::string user_data_of_ours =
      std::string(1, comment_kind) + static_cast<char>(comment.size() + 1) + comment + '\0';
  std::string flags;
  append(flags, htonl(NFT_TABLE_F_OWNER));
  const std::string answer =
      answer_to(fd.get(), batch_edge(NFNL_MSG_BATCH_BEGIN) +
                              of_tables(NFT_MSG_NEWTABLE, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK,
                                        attribute(NFTA_TABLE_FLAGS, flags) +
                                            attribute(NFTA_TABLE_USERDATA, user_data_of_ours)) +
                              batch_edge(NFNL_MSG_BATCH_END));
  int code = outcome(answer);
  // Who does not own a table may not touch it: EPERM, as without CAP_NET_ADMIN.
  if (code == EEXIST || (code == EPERM && user_data())) code = EBUSY;
  if (code == EINVAL) code = EOPNOTSUPP;
  if (code != 0) return {code, "nftables table finhold-lock"};
  socket_ = std::move(fd);
  return {};
}

std::string RulesLock::holder() {
  const std::string said = user_data().value_or("");
  if (said.size() < 3 || said[0] != comment_kind) return "";
  std::string text = said.substr(2);
  while (text.ends_with('\0')) text.pop_back();
  // Anybody with CAP_NET_ADMIN may have written it.
  for (const char each : text) {
    if (each < ' ' || each > '~') return "";
  }
  return text;
}

}  // namespace finhold::rules
