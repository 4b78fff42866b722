#include "base/network.h"

#include <algorithm>
#include <arpa/inet.h>
#include <charconv>
#include <cstring>

namespace finhold::base {
namespace {

constexpr unsigned mapped_bits = 96;  // of ::ffff:0:0/96

using Bytes = std::array<std::uint8_t, 16>;

// Whether two agree in their first bits.
bool same_prefix(const Bytes& one, const Bytes& two, unsigned bits) {
  const unsigned whole = bits / 8;
  if (std::memcmp(one.data(), two.data(), whole) != 0) return false;
  if (bits % 8 == 0) return true;
  return ((one.at(whole) ^ two.at(whole)) >> (8 - bits % 8)) == 0;
}

Bytes without_host_bits(const Bytes& bytes, unsigned bits) {
  Bytes network{};
  std::copy_n(bytes.begin(), bits / 8, network.begin());
  if (bits % 8 != 0) {
    network.at(bits / 8) = static_cast<std::uint8_t>(bytes.at(bits / 8) & (0xff00U >> bits % 8));
  }
  return network;
}

void unmap(Bytes& bytes) {
  Bytes v4{};
  std::copy_n(bytes.begin() + mapped_bits / 8, 4, v4.begin());
  bytes = v4;
}

bool is_mapped(const Bytes& bytes) {
  in6_addr address{};
  std::memcpy(&address, bytes.data(), bytes.size());
  return IN6_IS_ADDR_V4MAPPED(&address);
}

// An address without its port, as networks see it.
struct Host {
  Bytes bytes{};
  bool v4 = false;
};

Host host_of(const Address& address) {
  Host host;
  host.v4 = address.family() == AF_INET;
  if (host.v4) {
    const auto* const raw = reinterpret_cast<const sockaddr_in*>(address.raw());
    std::memcpy(host.bytes.data(), &raw->sin_addr, sizeof raw->sin_addr);
    return host;
  }
  const auto* const raw = reinterpret_cast<const sockaddr_in6*>(address.raw());
  std::memcpy(host.bytes.data(), &raw->sin6_addr, sizeof raw->sin6_addr);
  host.v4 = is_mapped(host.bytes);
  if (host.v4) unmap(host.bytes);
  return host;
}

// The finalizer of SplitMix64.
std::uint64_t mixed(std::uint64_t word) {
  word += 0x9e3779b97f4a7c15;
  word = (word ^ (word >> 30)) * 0xbf58476d1ce4e5b9;
  word = (word ^ (word >> 27)) * 0x94d049bb133111eb;
  return word ^ (word >> 31);
}

std::string quoted(std::string_view text) { return "\"" + std::string(text) + "\""; }

}  // namespace

Result<Network, Mistake> Network::parse(std::string_view text) {
  const auto slash = text.find('/');
  const std::string host(text.substr(0, slash));
  Network network;
  // inet_pton stops reading at a NUL.
  const bool has_nul = host.find('\0') != std::string::npos;
  network.v4_ = !has_nul && inet_pton(AF_INET, host.c_str(), network.bytes_.data()) == 1;
  if (!network.v4_ && (has_nul || inet_pton(AF_INET6, host.c_str(), network.bytes_.data()) != 1)) {
    return Mistake{quoted(text) +
                   " is not a network; write it as \"10.0.0.0/8\" or \"2001:db8::/32\", or one "
                   "address as \"192.0.2.7\""};
  }
  const unsigned longest = network.v4_ ? 32 : 128;
  unsigned prefix = longest;
  if (slash != std::string_view::npos) {
    const std::string_view digits = text.substr(slash + 1);
    const auto* const last = digits.data() + digits.size();
    const auto [end, failure] = std::from_chars(digits.data(), last, prefix);
    const bool extra_zero = digits.size() > 1 && digits.front() == '0';
    if (digits.empty() || end != last || failure != std::errc{} || extra_zero || prefix > longest) {
      return Mistake{quoted(text) + ": " + quoted(digits) +
                     " is not a prefix length; behind the / of an " +
                     (network.v4_ ? "IPv4" : "IPv6") + " network stands a number from 0 to " +
                     std::to_string(longest)};
    }
  }
  network.prefix_ = static_cast<std::uint8_t>(prefix);

  const Bytes given = network.bytes_;
  network.bytes_ = without_host_bits(given, prefix);
  if (network.bytes_ != given) {
    return Mistake{quoted(text) + " has bits set behind its prefix; write " +
                   quoted(network.text()) + " for the network, or " + quoted(host) +
                   " for the one address"};
  }
  if (!network.v4_ && prefix >= mapped_bits && is_mapped(network.bytes_)) {
    unmap(network.bytes_);
    network.v4_ = true;
    network.prefix_ = static_cast<std::uint8_t>(prefix - mapped_bits);
  }
  return network;
}

Network Network::around(const Address& address, unsigned v6_prefix) {
  const Host host = host_of(address);
  Network network;
  network.v4_ = host.v4;
  network.prefix_ = static_cast<std::uint8_t>(host.v4 ? 32 : v6_prefix);
  network.bytes_ = without_host_bits(host.bytes, network.prefix_);
  return network;
}

Network Network::of_source(const Address& address) {
  constexpr unsigned v6_prefix = 56;
  return around(address.unmapped(), v6_prefix);
}

bool Network::contains(const Address& address) const {
  const Host host = host_of(address);
  return host.v4 == v4_ && same_prefix(host.bytes, bytes_, prefix_);
}

std::uint64_t Network::hash(std::uint64_t seed) const {
  std::array<std::uint64_t, 2> words{};
  std::memcpy(words.data(), bytes_.data(), bytes_.size());
  return mixed(mixed(mixed(seed ^ (v4_ ? 1U : 0U)) ^ words[0]) ^ words[1] ^ prefix_);
}

bool Network::contains(const Network& other) const {
  return other.v4_ == v4_ && other.prefix_ >= prefix_ && same_prefix(other.bytes_, bytes_, prefix_);
}

std::string Network::text() const {
  std::array<char, INET6_ADDRSTRLEN> host{};
  inet_ntop(family(), bytes_.data(), host.data(), host.size());
  return std::string(host.data()) + (is_one_address() ? "" : "/" + std::to_string(prefix_));
}

}  // namespace finhold::base
