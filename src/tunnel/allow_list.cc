#include "tunnel/allow_list.h"

#include <algorithm>
#include <cctype>

#include "tunnel/address_kind.h"

namespace finhold::tunnel {
namespace {

using base::Address;
using base::Mistake;
using base::Network;
using EntryResult = base::Result<AllowEntry, Mistake>;

constexpr std::string_view forms =
    R"("10.0.0.0/8:514", "[2001:db8::/32]:7000-7010" or "db.internal:5432")";

// Longer than any name and its port.
constexpr std::size_t longest_authority = 300;

std::string plain_name(std::string_view name) {
  if (name.ends_with('.')) name.remove_suffix(1);
  std::string plain(name);
  std::transform(plain.begin(), plain.end(), plain.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return plain;
}

Mistake not_understood() { return {"is not understood; write " + std::string(forms)}; }

// An address as admit() sees it.
struct Place {
  Address address;
  Address real;  // what it stands for
  AddressKind kind = AddressKind::ordinary;
  bool own = false;

  Place(const Address& given, const HostAddresses& host)
      : address(given), real(stands_for(given)), kind(kind_of(real)) {
    own = is_among(host.own);
    if (is_among(host.broadcast)) kind = AddressKind::no_server;
  }

  [[nodiscard]] bool is_among(const std::vector<Address>& addresses) const {
    return std::any_of(addresses.begin(), addresses.end(), [&](const Address& each) {
      const Address one = each.unmapped().with_port(address.port());
      return one == address || one == real;
    });
  }

  [[nodiscard]] bool is_stand_in() const { return !(real == address); }
  [[nodiscard]] bool is_for_nobody() const {
    return kind == AddressKind::no_server || address.lacks_zone() ||
           (is_stand_in() && kind != AddressKind::ordinary);
  }
  [[nodiscard]] bool must_be_listed_as_address() const {
    return own || kind != AddressKind::ordinary;
  }

  [[nodiscard]] bool is_opened_by(const AllowEntry& entry) const {
    if (!entry.network || !entry.ports.contains(address.port()) || is_for_nobody()) return false;
    const Network& network = *entry.network;
    const bool listed_as_address = network.is_one_address() ||
                                   is_inside(network, AddressKind::loopback) ||
                                   is_inside(network, AddressKind::link_local);
    if (must_be_listed_as_address() && !listed_as_address) return false;
    if (!entry.zone.empty() && entry.zone != address.zone()) return false;
    if (network.contains(real) && (!is_stand_in() || is_same_host(address))) return true;
    return is_stand_in() && network.contains(address) && is_translated(network);
  }

  [[nodiscard]] std::string why_refused() const {
    std::string text = address.text();
    if (is_stand_in()) text += ", which stands for " + real.text() + ",";
    if (address.lacks_zone()) return text + " is link-local, and of no interface of this host";
    if (is_for_nobody()) return text + " is no address of a server";
    if (!must_be_listed_as_address()) return text + " is not in allow";
    text += kind == AddressKind::loopback     ? " is loopback"
            : kind == AddressKind::link_local ? " is link-local"
                                              : " is an address of this host";
    return text + ", and not in allow as an address";
  }
};

// "fe80::1%eth0" and "fe80::%eth0/64" (RFC 4007 section 11.7), in brackets.
std::optional<Mistake> read_zoned(std::string_view text, AllowEntry& entry) {
  const auto percent = text.find('%');
  const auto slash = std::min(text.find('/', percent), text.size());
  const auto network =
      Network::parse(std::string(text.substr(0, percent)) + std::string(text.substr(slash)));
  if (!network.ok()) return network.error();
  entry.network = network.value();
  if (network.value().family() == AF_INET || !is_inside(*entry.network, AddressKind::link_local)) {
    return Mistake{
        "has an interface behind the %, which belongs to link-local addresses only; "
        "take it away"};
  }
  const std::string zone(text.substr(percent, slash - percent));
  const auto sample = base::HostPort::parse("[fe80::1" + zone + "]:1");
  if (!sample.ok()) return sample.error();
  const std::string& host = sample.value().host;
  entry.zone = host.substr(host.find('%') + 1);
  return std::nullopt;
}

// Reads what is before the colon.
std::optional<Mistake> read_place(const base::BeforePorts& parts, AllowEntry& entry) {
  const bool is_network = parts.bracketed || parts.before.find('/') != std::string_view::npos;
  if (parts.bracketed && parts.before.find('%') != std::string_view::npos) {
    return read_zoned(parts.before, entry);
  }
  auto network = Network::parse(parts.before);
  if (network.ok()) {
    if (parts.bracketed == (parts.before.find(':') == std::string_view::npos)) {
      return not_understood();
    }
    if (is_inside(network.value(), AddressKind::no_server)) {
      return Mistake{"opens nothing: no server has an address in " + network.value().text()};
    }
    entry.network = network.value();
    return std::nullopt;
  }
  if (is_network) return network.error();
  if (parts.before.empty()) {
    return Mistake{
        "has nothing before the colon; every destination is \"0.0.0.0/0\" and \"[::/0]\", with the "
        "port behind each"};
  }
  if (parts.before.find('*') != std::string_view::npos) {
    return Mistake{
        "has a wildcard; names are listed one by one, or the networks that their addresses are in"};
  }
  if (!base::is_host(parts.before)) return not_understood();
  entry.name = plain_name(parts.before);
  entry.has_dot = parts.before.ends_with('.');
  if (entry.name == "localhost" || entry.name.ends_with(".localhost")) {
    return Mistake{
        "opens nothing: loopback is listed as an address, \"127.0.0.1\" or \"[::1]\", with the "
        "port "
        "behind it"};
  }
  return std::nullopt;
}

}  // namespace

std::optional<Destination> Destination::parse(std::string_view authority) {
  if (authority.size() > longest_authority) return std::nullopt;
  auto parsed = base::HostPort::parse(authority);
  if (!parsed.ok()) return std::nullopt;
  Destination destination;
  destination.port = parsed.value().port;
  auto address = Address::parse(parsed.value().text());
  if (address.ok()) {
    destination.address = address.value().unmapped();
  } else if (const auto zone = parsed.value().host.find('%'); zone != std::string::npos) {
    // Of an interface that is not here: admit() says so.
    const std::string host = parsed.value().host.substr(0, zone);
    destination.address = Address::parse(base::HostPort{host, destination.port}.text()).value();
  } else {
    destination.name = plain_name(parsed.value().host);
    destination.has_dot = parsed.value().host.ends_with('.');
  }
  return destination;
}

EntryResult AllowEntry::parse(std::string_view text) {
  const auto parts = base::split_ports(text);
  if (!parts) return not_understood();
  AllowEntry entry;
  if (auto mistake = read_place(*parts, entry)) return *std::move(mistake);
  if (!parts->ports) {
    return Mistake{"has no port; write " + std::string(base::port_range_form) +
                   ", behind a colon (1-65535 for every port)"};
  }
  const auto ports = base::PortRange::parse(*parts->ports);
  if (!ports) {
    return Mistake{"has a wrong port behind the colon; write " +
                   std::string(base::port_range_form)};
  }
  entry.ports = *ports;
  return entry;
}

bool AllowList::lists_name(const Destination& destination) const {
  return !destination.name.empty() &&
         std::any_of(entries_.begin(), entries_.end(), [&](const AllowEntry& entry) {
           return entry.ports.contains(destination.port) && entry.name == destination.name;
         });
}

bool AllowList::may_look_up(const Destination& destination) const {
  return lists_name(destination) ||
         std::any_of(entries_.begin(), entries_.end(), [&](const AllowEntry& entry) {
           return entry.ports.contains(destination.port) && entry.network;
         });
}

std::string AllowList::to_look_up(const Destination& destination) const {
  const bool with_dot = destination.has_dot ||
                        std::any_of(entries_.begin(), entries_.end(), [&](const AllowEntry& entry) {
                          return entry.has_dot && entry.ports.contains(destination.port) &&
                                 entry.name == destination.name;
                        });
  return destination.name + (with_dot ? "." : "");
}

base::Result<std::vector<Address>, Mistake> AllowList::admit(const Destination& destination,
                                                             std::span<const Address> found,
                                                             const HostAddresses& host) const {
  const bool by_name = lists_name(destination);
  std::vector<Address> admitted;
  std::optional<Mistake> why;  // of the first
  for (const Address& one : found) {
    const Place place(one.unmapped().with_port(destination.port), host);
    const bool admit_by_name =
        by_name && !place.must_be_listed_as_address() && !place.is_for_nobody();
    if (admit_by_name ||
        std::any_of(entries_.begin(), entries_.end(),
                    [&](const AllowEntry& entry) { return place.is_opened_by(entry); })) {
      admitted.push_back(place.address);
    } else if (!why) {
      why = Mistake{place.why_refused()};
    }
  }
  if (!admitted.empty()) return admitted;
  return why ? *std::move(why) : Mistake{"the name has no address"};
}

}  // namespace finhold::tunnel
