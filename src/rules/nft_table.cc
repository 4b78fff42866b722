#include "rules/nft_table.h"

#include <algorithm>
#include <array>
#include <cstdio>

namespace finhold::rules {
namespace {

using config::comes_as_client;
using config::Families;
using config::families_of;
using config::link_local;
using config::wants_rules;
using relay::Intercept;
using relay::Route;
using relay::Traffic;

// "514", or "{ 514, 9000 }".
template <typename Number>
std::string any_of(std::vector<Number> numbers) {
  std::sort(numbers.begin(), numbers.end());
  numbers.erase(std::unique(numbers.begin(), numbers.end()), numbers.end());
  if (numbers.size() == 1) return std::to_string(numbers.front());
  std::string text = "{ ";
  for (const Number number : numbers) {
    text += (number == numbers.front() ? "" : ", ") + std::to_string(number);
  }
  return text + " }";
}

std::vector<std::uint32_t> users_in(const std::vector<Traffic>& list) {
  std::vector<std::uint32_t> users;
  for (const Traffic& traffic : list) {
    if (traffic.user) users.push_back(*traffic.user);
  }
  return users;
}

// The destinations of a list; users alone mean every destination.
std::vector<Traffic> destinations_in(const std::vector<Traffic>& list) {
  std::vector<Traffic> destinations;
  for (const Traffic& traffic : list) {
    if (!traffic.user) destinations.push_back(traffic);
  }
  if (destinations.empty() && !list.empty()) destinations.emplace_back();
  return destinations;
}

bool is_served(const Traffic& destination, Families families) {
  if (!destination.network) return true;
  return destination.network->family() == AF_INET ? families.v4 : families.v6;
}

// Host bits are zero, so the text tells: no network of fewer bits begins so.
bool is_loopback(const Traffic& destination) {
  if (!destination.network) return false;
  const std::string text = destination.network->text();
  return text.starts_with("127.") || text == "::1";
}

// "ip daddr 10.0.0.0/8 tcp dport 514", of the families that count.
std::string matching(const Traffic& destination, Families families) {
  std::string text;
  if (destination.network) {
    const std::string family = destination.network->family() == AF_INET ? "ip" : "ip6";
    const std::string network = destination.network->text();
    text = network.ends_with("/0") ? "meta nfproto ipv" + std::string(family == "ip" ? "4 " : "6 ")
                                   : family + " daddr " + network + " ";
  } else if (!families.v4 || !families.v6) {
    text = families.v4 ? "meta nfproto ipv4 " : "meta nfproto ipv6 ";
  }
  if (destination.ports.every_port()) return text + "meta l4proto tcp";
  return text + "tcp dport " + destination.ports.text();
}

std::string quoted(const std::string& text) { return '"' + text + '"'; }

std::string heading_of_chain(const Route& route) {
  return "\n\t# route " + quoted(route.name) + "\n\tchain route_" + route.name + " {\n";
}

std::string spare_rules(const Route& route, Families families) {
  std::string text;
  for (const Traffic& traffic : route.spare) {
    if (traffic.user || !is_served(traffic, families)) continue;
    text += "\t\t" + matching(traffic, families) + " return\n";
  }
  return text;
}

// Connections that programs of this network namespace open.
std::string redirect_chain(const Route& route) {
  const Families families = families_of(route.listen);
  const std::string to = " redirect to :" + std::to_string(route.listen.port()) + "\n";
  const auto spared_users = users_in(route.spare);
  const auto users = users_in(route.caught);
  // "skuid != 1000 return" would let through what has no user: connections of the kernel, as NFS.
  const std::string whose = users.empty() ? "" : "meta skuid " + any_of(users) + " ";

  std::string text = heading_of_chain(route);
  if (!spared_users.empty()) text += "\t\tmeta skuid " + any_of(spared_users) + " return\n";
  text += spare_rules(route, families);
  // Nobody reaches such an address without the interface that was named with it.
  if (families.v6) text += "\t\tip6 daddr " + std::string(link_local) + " return\n";
  std::string local;
  std::string leaving;
  for (const Traffic& destination : destinations_in(route.caught)) {
    if (!is_served(destination, families)) continue;
    std::string& rules = is_loopback(destination) ? local : leaving;
    rules.append("\t\t").append(whose).append(matching(destination, families)).append(to);
  }
  text += local;
  // What stays on this machine crosses no middlebox, unless `catch` names loopback addresses.
  if (!leaving.empty()) text += "\t\toif \"lo\" return\n" + leaving;
  return text + "\t}\n";
}

// Sets the bit that the routing looks at.
std::string diverting() {
  return "meta mark set meta mark | " + hex(config::divert_mark) + " accept";
}

// Connections that pass this machine.
std::string tproxy_chain(const Route& route, bool untracked) {
  const Families families = families_of(route.listen);
  std::string text = heading_of_chain(route) + spare_rules(route, families);
  // A listener with an address of its own is found by that address only.
  const base::Address listen = route.listen.unmapped();
  const std::string listener =
      listen.is_any() ? ":" + std::to_string(listen.port()) : listen.without_zone().text();
  for (const Traffic& destination : destinations_in(route.caught)) {
    if (!is_served(destination, families)) continue;
    const bool one_family = destination.network || !families.v4 || !families.v6;
    const bool v4 = destination.network ? destination.network->family() == AF_INET : families.v4;
    text += "\t\t" + matching(destination, families) + " tproxy " +
            (one_family ? (v4 ? "ip " : "ip6 ") : "") + "to " + listener +
            (untracked ? " notrack " : " ") + diverting() + "\n";
  }
  return text + "\t}\n";
}

std::string jumps(const std::vector<const Route*>& routes) {
  std::string text;
  for (const Route* route : routes) text += "\t\tjump route_" + route->name + "\n";
  return text;
}

std::string redirect_rules(const config::Config& config, const std::vector<const Route*>& routes) {
  std::string chains;
  for (const Route* route : routes) chains += redirect_chain(*route);
  chains += R"(
	# Connections that programs of this machine open; the first route that catches one has it.
	chain output {
		type nat hook output priority -100; policy accept;
		meta l4proto != tcp return
)";
  // Also those of routes that catch nothing: what they open is not for the others.
  std::vector<std::uint32_t> marks;
  bool is_caught_user = false;
  for (const Route& route : config.routes) {
    if (route.own_mark() != 0) marks.push_back(route.own_mark());
  }
  for (const Route* route : routes) {
    const auto users = users_in(route->caught);
    is_caught_user = is_caught_user || (config.user && std::find(users.begin(), users.end(),
                                                                 config.user->uid) != users.end());
  }
  std::sort(marks.begin(), marks.end());
  marks.erase(std::unique(marks.begin(), marks.end()), marks.end());
  for (const std::uint32_t mark : marks) {
    chains += "\t\tmeta mark " + hex(mark) + " return comment \"opened by finhold\"\n";
  }
  if (config.user && !is_caught_user) {
    chains += "\t\tmeta skuid " + std::to_string(config.user->uid) +
              " return comment \"opened by finhold's user\"\n";
  }
  return chains + jumps(routes) + "\t}\n";
}

std::string tproxy_rules(const std::vector<const Route*>& routes) {
  const auto as_client = std::find_if(routes.begin(), routes.end(),
                                      [](const Route* route) { return comes_as_client(*route); });
  const bool any_as_client = as_client != routes.end();
  std::string chains;
  for (const Route* route : routes) chains += tproxy_chain(*route, any_as_client);
  chains += R"(
	# New connections; the first route that catches one has it. What is for this machine itself passes.
	chain new_connections {
		fib daddr type local return
)";
  chains += jumps(routes) + "\t}\n";
  // "socket wildcard" is true of listening sockets of every address only, and unknown of a
  // connection that is not yet accepted or no longer open.
  const std::string listening =
      "\t\tsocket wildcard 1 accept comment \"listens, as if for somebody else's connection\"\n";
  const std::string begin = R"(
	# Connections that pass this machine. Those that are open while the rules are loaded are left alone.
	chain prerouting {
		type filter hook prerouting priority )";
  const std::string fork = R"(; policy accept;
		meta l4proto != tcp accept
		tcp flags & (fin | syn | rst | ack) == syn goto new_connections
)";
  if (!any_as_client) {
    return chains + begin + "mangle" + fork + listening + "\t\tsocket transparent 1 " +
           diverting() + " comment \"either leg of a session\"\n\t}\n";
  }
  // Both legs of a session have the same addresses and ports, and conntrack would take them for one
  // connection. So it does not see the leg to the client. That to the server, which bears a mark,
  // is as any connection: masquerade changes it, and only behind that, where its answers have their
  // own address again, IPv6 finds its socket.
  const std::string mark = "mark " + hex((*as_client)->own_mark());
  return chains + begin + "raw" + fork + listening + "\t\tsocket " + mark +
         " accept comment \"from a server\"\n\t\tsocket transparent 1 notrack " + diverting() +
         " comment \"from a client\"\n\t}\n" + R"(
	chain from_servers {
		type filter hook prerouting priority dstnat + 10; policy accept;
		meta l4proto != tcp accept
)" + listening +
         "\t\tsocket transparent 1 " + diverting() + "\n\t}\n" + R"(
	# Of no other connection this machine sends packets that come from addresses of others.
	chain to_clients {
		type filter hook output priority raw; policy accept;
		meta l4proto != tcp accept
		meta )" +
         mark + " accept comment \"to a server\"\n\t\tfib saddr type != local notrack\n\t}\n";
}

// The first lines of every "table" that names an existing one must be the same.
std::string begin_table(TableOwner owner) {
  return owner == TableOwner::loader ? "table inet finhold {\n\tflags owner\n"
                                     : "table inet finhold {\n";
}

}  // namespace

std::string hex(std::uint32_t number) {
  std::array<char, 16> text{};
  static_cast<void>(std::snprintf(text.data(), text.size(), "0x%x", number));
  return text.data();
}

std::vector<const Route*> routes_of(const config::Config& config, Intercept kind) {
  std::vector<const Route*> routes;
  for (const Route& route : config.routes) {
    if (route.intercept == kind && wants_rules(route)) routes.push_back(&route);
  }
  return routes;
}

std::string table_of(const config::Config& config, TableOwner owner) {
  const auto redirecting = routes_of(config, Intercept::redirect);
  const auto gateways = routes_of(config, Intercept::tproxy);
  std::string text = std::string(no_table) + begin_table(owner);
  std::string chains;
  if (!redirecting.empty()) chains += redirect_rules(config, redirecting);
  if (!gateways.empty()) chains += tproxy_rules(gateways);
  return text + chains.substr(1) + "}\n";
}

// Empty if there is nothing for it to do.
std::string patience_of(const config::Config& config, TableOwner owner) {
  std::string text =
      begin_table(owner) +
      R"(	ct timeout patient4 { protocol tcp; l3proto ip; policy = { fin_wait : 86400, close_wait : 86400 }; }
	ct timeout patient6 { protocol tcp; l3proto ip6; policy = { fin_wait : 86400, close_wait : 86400 }; }

	chain redirected {
		type filter hook output priority -90; policy accept;
)";
  std::vector<std::uint16_t> ports4;
  std::vector<std::uint16_t> ports6;
  for (const Route* route : routes_of(config, Intercept::redirect)) {
    const Families families = families_of(route->listen);
    if (families.v4) ports4.push_back(route->listen.port());
    if (families.v6) ports6.push_back(route->listen.port());
  }
  if (ports4.empty() && ports6.empty()) return {};
  for (const auto& [ports, family] : {std::pair{ports4, "4"}, {ports6, "6"}}) {
    if (ports.empty()) continue;
    text += "\t\tct status dnat meta nfproto ipv" + std::string(family) + " tcp dport " +
            any_of(ports) + " ct timeout set \"patient" + family + "\"\n";
  }
  return text + "\t}\n}\n";
}

}  // namespace finhold::rules
