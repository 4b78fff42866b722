// Keys of a route about its clients that are right each for itself, and wrong together.
#pragma once

#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "config/route_checks.h"
#include "relay/route.h"

namespace finhold::config {

// Whether its allow has every address.
bool allows_all(const relay::Route& route);

// Of a route: those of allow and deny that let nobody in. `given` as for route_mistakes().
std::vector<RouteMistake> door_mistakes(const relay::Route& route,
                                        std::span<const std::string_view> given);

// Of a route whose keepalive is "off".
std::optional<RouteMistake> nursing_mistake(const relay::Route& route,
                                            std::span<const std::string_view> given);

}  // namespace finhold::config
