#include "relay/own_dials.h"

#include <functional>
#include <string>

namespace finhold::relay {
namespace {

std::uint32_t short_form(const base::Address& from, const base::Address& server) {
  const std::size_t hash = std::hash<std::string>{}(from.text() + " " + server.text());
  return static_cast<std::uint32_t>(hash) | 1U;  // never 0
}

}  // namespace

void OwnDials::add(const base::Address& from, const base::Address& server) {
  places_.at(from.port()).store(short_form(from, server), std::memory_order_relaxed);
}

bool OwnDials::contains(const base::Address& from, const base::Address& server) const {
  const std::uint32_t place = places_.at(from.port()).load(std::memory_order_relaxed);
  return place != 0 && place == short_form(from, server);
}

}  // namespace finhold::relay
