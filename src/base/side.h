// The two sides of a session, and the two flows between them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace finhold::base {

// Which leg of a session.
enum class Side : std::uint8_t { client = 0, server = 1 };

// Which direction of bytes: to_server comes from the client leg, to_client from the server leg.
enum class Flow : std::uint8_t { to_server = 0, to_client = 1 };

constexpr Side other(Side side) { return side == Side::client ? Side::server : Side::client; }
constexpr Flow other(Flow flow) {
  return flow == Flow::to_server ? Flow::to_client : Flow::to_server;
}

// The leg that a flow is read from, and the leg that it is written to.
constexpr Side source_of(Flow flow) {
  return flow == Flow::to_server ? Side::client : Side::server;
}
constexpr Side sink_of(Flow flow) { return other(source_of(flow)); }

// The flow that is read from a leg, and the flow that is written to it.
constexpr Flow flow_from(Side side) {
  return side == Side::client ? Flow::to_server : Flow::to_client;
}
constexpr Flow flow_into(Side side) { return other(flow_from(side)); }

// For arrays with one element a side or flow.
constexpr std::size_t index(Side side) { return static_cast<std::size_t>(side); }
constexpr std::size_t index(Flow flow) { return static_cast<std::size_t>(flow); }

constexpr const char* name(Side side) { return side == Side::client ? "client" : "server"; }
constexpr const char* name(Flow flow) {
  return flow == Flow::to_server ? "to_server" : "to_client";
}

}  // namespace finhold::base
