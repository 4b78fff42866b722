#include "config/catch_checks.h"

#include <algorithm>

#include "config/interception_needs.h"
#include "config/messages.h"

namespace finhold::config {
namespace {

using relay::Intercept;
using relay::Route;
using relay::Traffic;

bool names(const std::vector<Traffic>& list, std::optional<std::uint32_t> uid) {
  return std::any_of(list.begin(), list.end(), [uid](const Traffic& traffic) {
    return traffic.user && (!uid || traffic.user == uid);
  });
}

// REDIRECT sends what this machine opens to 127.0.0.1 and [::1].
bool is_reached_by_redirect(const base::Address& listen) {
  const base::Address address = listen.unmapped();
  const std::string text = address.with_port(0).text();
  return address.is_any() || text == "127.0.0.1:0" || text == "[::1]:0";
}

// Host bits are zero, so the text tells.
bool is_link_local(const base::Network& network) {
  const std::string text = network.text();
  return text.starts_with("fe") && text.find(':') == 4 &&
         std::string_view("89ab").find(text[2]) != std::string_view::npos &&
         !text.ends_with("/9");  // what is wider
}

void check_items(const Route& route, std::string_view key, const std::vector<Traffic>& list,
                 bool check_families, std::vector<RouteMistake>& mistakes) {
  const Families families = families_of(route.listen);
  for (std::size_t i = 0; i < list.size(); ++i) {
    if (list[i].user && route.intercept == Intercept::tproxy) {
      mistakes.push_back({key,
                          "connections that pass a gateway have no user here; name networks and "
                          "ports, or write intercept = \"redirect\"",
                          i});
    }
    if (key == "catch" && list[i].network && is_link_local(*list[i].network)) {
      mistakes.push_back({key,
                          "link-local addresses need the interface that their client named, which "
                          "finhold cannot know; take the item away, they are never caught",
                          i});
      continue;
    }
    if (!check_families || !list[i].network) continue;
    const bool v4 = list[i].network->family() == AF_INET;
    if (v4 ? families.v4 : families.v6) continue;
    const std::string port = std::to_string(route.listen.port());
    mistakes.push_back(
        {key,
         std::string("this is ") + (v4 ? "IPv4" : "IPv6") + ", and the listener of this route, " +
             in_quotes(route.listen.text()) + ", is " + (v4 ? "IPv6" : "IPv4") +
             " only; write listen = \"[::]:" + port + "\" for both, or another route",
         i});
  }
}

}  // namespace

void mark_own_connections(Config& config) {
  std::vector<Route>& routes = config.routes;
  const auto redirecting = std::find_if(routes.begin(), routes.end(), [](const Route& route) {
    return route.intercept == Intercept::redirect && wants_rules(route) && route.mark != 0;
  });
  const bool redirects = redirecting != routes.end();
  for (Route& route : routes) {
    if (route.intercept == Intercept::redirect && route.mark != 0) continue;
    if (redirects) route.mark = redirecting->mark;
    if (route.intercept == Intercept::redirect) continue;
    route.always_marks = redirects || comes_as_client(route);
  }
  for (FarConfig& far : config.fars) {
    if (redirects) far.settings.route.mark = redirecting->mark;
    far.settings.route.always_marks = redirects;
  }
  // The rules may be of somebody else's making: then each route that redirects has a mark, and they
  // spare at least one that uses the tunnel.
  for (std::size_t i = 0; i < config.tunnels.size(); ++i) {
    const auto user = std::find_if(routes.begin(), routes.end(), [i](const Route& route) {
      return route.tunnel == static_cast<int>(i) && route.own_mark() != 0;
    });
    config.tunnels[i].settings.mark = redirects              ? redirecting->mark
                                      : user != routes.end() ? user->own_mark()
                                                             : 0;
  }
}

bool lets_finhold_pass(const Route& route, std::optional<std::uint32_t> uid) {
  if (route.mark != 0) return true;
  if (names(route.spare, uid)) return true;
  return names(route.caught, std::nullopt) && !(uid && names(route.caught, uid));
}

std::vector<RouteMistake> catch_mistakes(const Route& route,
                                         std::span<const std::string_view> given,
                                         const std::optional<User>& user) {
  std::vector<RouteMistake> mistakes;
  const auto has = [given](std::string_view key) {
    return std::find(given.begin(), given.end(), key) != given.end();
  };
  if (route.intercept == Intercept::none) {
    for (const std::string_view key : {"catch", "spare"}) {
      if (!has(key) || (key == "catch" ? route.caught : route.spare).empty()) continue;
      mistakes.push_back({key,
                          "this route intercepts nothing; write intercept = \"redirect\" (beside "
                          "the client) or \"tproxy\" (on a gateway) too"});
    }
    return mistakes;
  }
  if (has("spare") && !has("catch") && !route.spare.empty()) {
    mistakes.push_back({"spare", "nothing is caught that could be spared; write catch too"});
  }
  if (!has("catch") || route.caught.empty()) return mistakes;
  check_items(route, "catch", route.caught, has("listen"), mistakes);
  if (has("spare")) check_items(route, "spare", route.spare, false, mistakes);
  if (route.intercept != Intercept::redirect) return mistakes;
  if (has("mark") && (route.mark & divert_mark) != 0) {
    mistakes.push_back(
        {"mark", "the bit 0x10000000 is for diverted connections; write a mark without it"});
  }

  if (has("listen") && !is_reached_by_redirect(route.listen)) {
    const std::string port = std::to_string(route.listen.port());
    mistakes.push_back(
        {"listen", "redirected connections go to 127.0.0.1 and [::1]; write \"127.0.0.1:" + port +
                       "\", \"[::1]:" + port + "\", or \"[::]:" + port + "\" for both"});
  }
  // With `user`, the rules spare that user, unless it is one whose connections are to be caught.
  const bool spares_user = user && !names(route.caught, user->uid);
  const auto uid = user ? std::optional(user->uid) : std::nullopt;
  if (!spares_user && !lets_finhold_pass(route, uid)) {
    mistakes.push_back({has("mark") ? "mark" : "catch",
                        "finhold would catch the connections that it opens itself; write a mark "
                        "other than 0, or spare = [\"user:NAME\"] with the user that it runs as"});
  }
  return mistakes;
}

}  // namespace finhold::config
