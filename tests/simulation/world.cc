#include "simulation/world.h"

#include <algorithm>
#include <array>
#include <cstdio>

#include "base/check.h"

namespace finhold::simulation {

void World::set_path(std::uint32_t from, std::uint32_t to, const PathOptions& options,
                     Server server, const std::array<Buffers, 2>& buffers) {
  ways_.push_back(std::make_unique<Way>(Way{from, to, options, server, buffers}));
}

Connection& World::connection(std::uint32_t from, std::uint32_t to) {
  const auto way = std::find_if(ways_.rbegin(), ways_.rend(), [&](const auto& each) {
    return each->from == from && each->to == to;
  });
  FINHOLD_CHECK(way != ways_.rend());
  const std::array addresses{EndAddress{from, next_port_++}, EndAddress{to, 7000}};
  Connection::Watcher& watcher = *this;  // make_unique() may not know that it is one
  connections_.push_back(std::make_unique<Connection>(
      agenda_, random_, (*way)->options, (*way)->server, (*way)->buffers, addresses, watcher));
  return *connections_.back();
}

const Socket* World::find(const EndAddress& own, const EndAddress& other) const {
  for (const auto& each : connections_) {
    for (const int end : {0, 1}) {
      if (each->address(end) == own && each->address(1 - end) == other) return &each->socket(end);
    }
  }
  return nullptr;
}

void World::trace(const std::string& line) {
  if (trace_ == nullptr) return;
  std::array<char, 32> time{};
  static_cast<void>(std::snprintf(time.data(), time.size(), "%12.3f  ",
                                  static_cast<double>(now()) / static_cast<double>(s)));
  *trace_ += time.data() + line + "\n";
}

void World::on_wire(const Connection& connection, int to, const Segment& segment, bool passes) {
  if (segment.fin && !connection.fin_from(to)) owner_.on_early_fin(connection, to);
  if (trace_ == nullptr) return;
  constexpr std::array names{"", "client", "finhold", "server"};
  const auto name = [&](int end) { return names.at(connection.address(end).host); };
  trace(std::string(name(1 - to)) + " -> " + name(to) + "  " + describe(segment) +
        (passes ? "" : "  (lost)"));
}

}  // namespace finhold::simulation
