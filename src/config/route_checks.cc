#include "config/route_checks.h"

#include <algorithm>

#include "config/listen_overlap.h"

namespace finhold::config {

std::vector<RouteMistake> route_mistakes(const relay::Route& route,
                                         std::span<const std::string_view> given) {
  using relay::Intercept;
  using relay::Source;
  std::vector<RouteMistake> mistakes;
  const auto has = [given](std::string_view key) {
    return std::find(given.begin(), given.end(), key) != given.end();
  };
  const bool intercepts = route.intercept != Intercept::none;
  const std::string intercept = std::string("intercept = \"") +
                                (route.intercept == Intercept::redirect ? "redirect" : "tproxy") +
                                "\"";

  if (has("server") && intercepts) {
    mistakes.push_back({"server", "with " + intercept +
                                      " the server is where the client was going; take one of "
                                      "the two away"});
  }
  if (has("listen") && intercepts && route.listen.port() == 0) {
    mistakes.push_back(
        {"listen",
         "port 0 is a new port each time, and the rules that divert connections to it "
         "name one; write a fixed port"});
  }
  if (route.tunnel >= 0) {
    if (has("crosses") &&
        (route.fin.crosses == core::Crosses::server || route.fin.crosses == core::Crosses::both)) {
      mistakes.push_back(
          {"crosses",
           "with a tunnel every end is told in band, and nothing crosses the box that could "
           "be held; take crosses away, or write \"none\" or \"client\""});
    }
    if (has("send_proxy") && route.send_proxy != relay::ProxyHeader::none) {
      mistakes.push_back({"send_proxy",
                          "with a tunnel its far end connects to the server; write send_proxy in "
                          "the [[far]]"});
    }
    if (has("source") && route.source.kind != Source::Kind::self) {
      mistakes.push_back({"source",
                          "with a tunnel its far end connects to the server, from where that one "
                          "is; take source away"});
    }
  }
  // With a tunnel the server's address is one of the far end's network, and so is its interface.
  if (has("server") && route.tunnel < 0) {
    if (auto mistake = route.server.zone_mistake()) mistakes.push_back({"server", mistake->text});
  }
  if (has("listen") && has("server") && route.tunnel < 0) {
    const auto loop = loop_mistake(route.listen, route.server);
    if (loop) mistakes.push_back({"server", loop->text});
  }
  if (has("source") && route.tunnel < 0 && route.source.kind == Source::Kind::client &&
      route.intercept != Intercept::tproxy) {
    mistakes.push_back({"source",
                        "\"client\" needs intercept = \"tproxy\" on a gateway that the "
                        "server's answers pass; write that, or \"self\""});
  }
  if (has("source") && route.tunnel < 0 && has("server") &&
      route.source.kind == Source::Kind::address) {
    const auto server = base::Address::parse(route.server.text());
    if (server.ok() &&
        server.value().unmapped().family() != route.source.address.unmapped().family()) {
      mistakes.push_back({"source",
                          "the server's address is of the other family; write two IPv4 "
                          "or two IPv6 addresses"});
    }
  }
  if (has("mark") && route.mark != relay::Route{}.mark && route.intercept != Intercept::redirect) {
    mistakes.push_back({"mark",
                        "only connections of a route with intercept = \"redirect\" are "
                        "marked; write that, or take the mark away"});
  }
  if (has("accept_proxy") && route.accept_proxy && intercepts) {
    mistakes.push_back(
        {"accept_proxy", "with " + intercept +
                             " clients do not know of finhold, so a header that they "
                             "send is for the server; take one of the two away"});
  } else if (has("accept_proxy") && route.accept_proxy && route.trusted.empty()) {
    mistakes.push_back({"accept_proxy",
                        "whoever connects could claim any address; add trusted = [\"10.0.0.0/8\"], "
                        "with the addresses of your proxies",
                        std::nullopt, "trusted"});
  }
  if (has("trusted") && !route.trusted.empty() && !route.accept_proxy) {
    mistakes.push_back({"trusted",
                        "keeps nobody out by itself: it says who may send a PROXY header; add "
                        "accept_proxy = true, or take it away",
                        std::nullopt, "accept_proxy"});
  }
  return mistakes;
}

}  // namespace finhold::config
