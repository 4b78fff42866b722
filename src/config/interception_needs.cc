#include "config/interception_needs.h"

#include <algorithm>

namespace finhold::config {

bool wants_rules(const relay::Route& route) {
  return route.intercept != relay::Intercept::none && !route.caught.empty();
}

bool comes_as_client(const relay::Route& route) {
  return wants_rules(route) && route.source.kind == relay::Source::Kind::client;
}

bool any_wants_rules(const Config& config) {
  return std::any_of(config.routes.begin(), config.routes.end(), wants_rules);
}

Families families_of(const base::Address& listen) {
  if (listen.unmapped().family() == AF_INET) return {.v4 = true};
  return {.v4 = listen.is_any(), .v6 = true};
}

}  // namespace finhold::config
