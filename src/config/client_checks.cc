#include "config/client_checks.h"

#include <algorithm>
#include <string>

#include "config/interception_needs.h"
#include "config/messages.h"

namespace finhold::config {
namespace {

using base::Network;

bool has(std::span<const std::string_view> given, std::string_view key) {
  return std::find(given.begin(), given.end(), key) != given.end();
}

// The first of them that contains all of that one.
const Network* that_covers(const std::vector<Network>& networks, const Network& one) {
  const auto found = std::find_if(networks.begin(), networks.end(),
                                  [&](const Network& wide) { return wide.contains(one); });
  return found != networks.end() ? &*found : nullptr;
}

bool has_all(const std::vector<Network>& networks, const char* all) {
  return that_covers(networks, Network::parse(all).value()) != nullptr;
}

// Who may connect at all. A proxy may announce either.
Families families_of_clients(const relay::Route& route) {
  return route.accept_proxy ? Families{true, true} : families_of(route.listen);
}

}  // namespace

bool allows_all(const relay::Route& route) {
  return has_all(route.allow, "0.0.0.0/0") && has_all(route.allow, "::/0");
}

std::vector<RouteMistake> door_mistakes(const relay::Route& route,
                                        std::span<const std::string_view> given) {
  std::vector<RouteMistake> mistakes;
  const Families families = families_of_clients(route);
  if (has(given, "allow") && route.allow.empty()) {
    mistakes.push_back({"allow",
                        "lets nobody in; write the networks of those who may connect, such as "
                        "[\"10.0.0.0/8\"], or take it away for everybody"});
  }
  if (has(given, "allow") && has(given, "deny")) {
    for (std::size_t i = 0; i < route.allow.size(); ++i) {
      const Network* const wide = that_covers(route.deny, route.allow[i]);
      if (wide == nullptr) continue;
      mistakes.push_back({"allow",
                          "nobody of this may connect, since deny has " + in_quotes(wide->text()) +
                              ", and wins; take one of the two away",
                          i});
    }
  }
  const bool is_all = (!families.v4 || has_all(route.deny, "0.0.0.0/0")) &&
                      (!families.v6 || has_all(route.deny, "::/0"));
  if (has(given, "deny") && has(given, "listen") && is_all && route.allow.empty()) {
    mistakes.push_back({"deny",
                        "nobody may connect; write allow = [\"10.0.0.0/8\"] instead, with the "
                        "networks of those who may",
                        std::nullopt, "allow"});
  }
  const bool reaches = std::any_of(route.allow.begin(), route.allow.end(), [&](const Network& one) {
    return one.family() == AF_INET ? families.v4 : families.v6;
  });
  if (has(given, "allow") && has(given, "listen") && !route.allow.empty() && !reaches) {
    mistakes.push_back({"allow", "nobody of these can connect: the listener of this route, " +
                                     in_quotes(route.listen.text()) + ", is " +
                                     (families.v4 ? "IPv4" : "IPv6") + " only; write listen = " +
                                     in_quotes("[::]:" + std::to_string(route.listen.port())) +
                                     " for both, or networks that reach it"});
  }
  return mistakes;
}

std::optional<RouteMistake> nursing_mistake(const relay::Route& route,
                                            std::span<const std::string_view> given) {
  if (!has(given, "nurse_every") || route.keepalive.probing) return std::nullopt;
  return RouteMistake{
      "nurse_every",
      "nursing is done by keepalives, and keepalive is \"off\"; take one of the two "
      "away"};
}

}  // namespace finhold::config
