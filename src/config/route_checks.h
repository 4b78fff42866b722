// Keys of one route that are right each for itself, and wrong together.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "relay/route.h"

namespace finhold::config {

struct RouteMistake {
  std::string_view key;                  // one of those given, where the mistake is to be shown
  std::string what;                      // what is wrong, and how to fix it
  std::optional<std::size_t> item = {};  // of a list: which of its items
  // A key that it tells the lack of. If that one stands in the file with a wrong value, it is not
  // lacking.
  std::string_view lacks = {};
};

// `given`: the keys of [[route]] that stand in the file with a right value; the others of the route
// have their defaults, or are told of already.
std::vector<RouteMistake> route_mistakes(const relay::Route& route,
                                         std::span<const std::string_view> given);

}  // namespace finhold::config
