#include "relay/own_dials.h"

#include <functional>
#include <string>

namespace finhold::relay {
namespace {

std::uint32_t short_form(const base::Address& from, const base::Address& server) {
  const std::size_t hash =
      std::hash<std::string>{}(from.without_zone().text() + " " + server.without_zone().text());
  return static_cast<std::uint32_t>(hash) | 1U;  // never 0
}

}  // namespace

OwnDials::Entry OwnDials::add(const base::Address& from, const base::Address& server) {
  const Entry entry{short_form(from, server), from.port()};
  places_.at(entry.port).store(entry.value, std::memory_order_relaxed);
  return entry;
}

void OwnDials::remove(Entry entry) {
  if (entry.value == 0) return;
  places_.at(entry.port).compare_exchange_strong(entry.value, 0, std::memory_order_relaxed);
}

bool OwnDials::contains(const base::Address& from, const base::Address& server) const {
  const std::uint32_t place = places_.at(from.port()).load(std::memory_order_relaxed);
  return place != 0 && place == short_form(from, server);
}

}  // namespace finhold::relay
