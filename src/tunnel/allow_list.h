// What a far end's `allow` list lets a near end open. Pure: the caller looks names up
// and dials, exactly the addresses that admit() gave it, so that what was checked is what is dialed
// (a second look-up could answer otherwise: DNS rebinding).
//
// A network opens the addresses in it. A name opens what it resolves to; a name that is not listed
// is still opened at addresses of a listed network. Beyond that, so that a wide entry does not open
// what nobody thought of:
// - Loopback, link-local and the far host's own addresses are opened only by an entry that lists
// them
//   *as addresses*: a single address, or a network that lies wholly inside loopback or link-local.
//   Neither "0.0.0.0/0" nor "10.0.0.0/8" does, nor a name that resolves there; "127.0.0.1:5432"
//   does.
// - An IPv6 address that stands for an IPv4 one (mapped, IPv4-compatible, NAT64, 6to4) is judged as
//   that one. An IPv6 network opens it only if it lies wholly inside the range of such addresses.
//   An IPv4 one does not open those of 6to4 and 64:ff9b:1::/48, which may belong to other hosts
//   too. The private prefixes of NAT64 (RFC 6052 section 2.2) cannot be known: list no wide IPv6
//   network where there is one.
// - A link-local IPv6 address is opened with the interface that the near end named, which is one of
// this host.
//   An entry may name it too.
// - Unspecified, multicast and broadcast addresses are never opened, nor what would be a
//   translator's loopback or link-local.
//
// Names are compared without the dot at their end; with it they are not looked up behind what
// "search" of resolv.conf(5) says. Whoever lists a name with the dot has it looked up so, whatever
// the near end wrote.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/network.h"
#include "base/port_range.h"
#include "base/result.h"
#include "tunnel/host_addresses.h"

namespace finhold::tunnel {

// Where a CONNECT request wants to go: its :authority (RFC 9113 section 8.5).
struct Destination {
  std::string name;       // in lower case, without a last dot; empty: an address
  bool has_dot = false;   // it had one
  base::Address address;  // with the port, if there is no name
  std::uint16_t port = 0;

  // "db.internal:5432", "10.0.0.5:7000", "[2001:db8::5]:7000", from anybody. Nothing: it is not
  // exactly of such a form, or an IPv4 address is not written in full.
  static std::optional<Destination> parse(std::string_view authority);
};

// One item of `allow`.
struct AllowEntry {
  std::optional<base::Network> network;  // or
  std::string zone;                      // of a link-local one: its interface; empty: any
  std::string name;                      // in lower case, without a last dot
  bool has_dot = false;                  // it had one
  base::PortRange ports;

  // "10.0.0.0/8:514", "[2001:db8::/32]:7000-7010", "[fe80::1%eth0]:514", "db.internal:5432". A port
  // must be written. Whether there is such an interface is asked when somebody wants to go there.
  // Names have no wildcards: whoever may add a name below one would decide what is opened.
  static base::Result<AllowEntry, base::Mistake> parse(std::string_view text);

  friend bool operator==(const AllowEntry&, const AllowEntry&) = default;
};

// Immutable: any thread.
class AllowList {
 public:
  explicit AllowList(std::vector<AllowEntry> entries) : entries_(std::move(entries)) {}

  // Whether there is an answer to the look-up of this name with which it would be opened. Without
  // one it is refused unasked, so that nobody reads our name servers through it.
  [[nodiscard]] bool may_look_up(const Destination& destination) const;

  // What is to be looked up of this name: with the last dot, if it has one here or there.
  [[nodiscard]] std::string to_look_up(const Destination& destination) const;

  // Of the addresses that a destination has (those that its name resolved to, or its own), the ones
  // that may be dialed, in their order and with its port. `host`: what the kernel says of these
  // (host_addresses()), of whatever ports. If none may be dialed, why, for the log.
  [[nodiscard]] base::Result<std::vector<base::Address>, base::Mistake> admit(
      const Destination& destination, std::span<const base::Address> found,
      const HostAddresses& host) const;

 private:
  [[nodiscard]] bool lists_name(const Destination& destination) const;

  std::vector<AllowEntry> entries_;
};

}  // namespace finhold::tunnel
