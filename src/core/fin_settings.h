// What a user may choose about the end of a session: which leg crosses a middlebox, and when a held
// FIN is let go.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/duration.h"
#include "base/side.h"

namespace finhold::core {

// Which legs cross a middlebox that may forget a half-closed connection: a fact about the network
// that the user states.
enum class Crosses : std::uint8_t { none = 0, client = 1, server = 2, both = 3 };

// "server": the value in a configuration.
constexpr const char* name(Crosses legs) {
  constexpr std::array names{"none", "client", "server", "both"};
  return names.at(static_cast<std::size_t>(legs));
}

constexpr bool crosses(Crosses legs, base::Side side) {
  const auto bit = side == base::Side::client ? Crosses::client : Crosses::server;
  return (static_cast<unsigned>(legs) & static_cast<unsigned>(bit)) != 0;
}

// "auto" of release_when_quiet, where nothing is known, or the other side talks on.
constexpr base::Milliseconds patient_quiet{5000};

struct FinSettings {
  Crosses crosses = Crosses::server;

  // R3(c), by base::index(Flow): a held FIN of that flow goes out when nothing has flowed the other
  // way for this long; 0 = at once. A server waits for the client's end only to answer, and rarely
  // at that; a client nearly always takes the server's for "closed", whose 5 s more are felt (the
  // next request of a pool, the end of every answer that has no length).
  std::array<base::Limit, 2> release_when_quiet{patient_quiet, std::chrono::seconds(0)};
  // The same, by base::index(Flow): "auto". The time above is for who has not shown that it waits
  // for the end (core/end_lessons.h).
  std::array<bool, 2> learns_quiet{true, false};
  // R3(d): a held FIN goes out this long after its flow ended, whatever else happens.
  base::Limit hold_at_most;
  // How often keepalives are sent on a half-closed crossing leg. At least 1 s (the kernel's unit).
  base::Milliseconds nurse_every = std::chrono::seconds(5);

  // R6: both end a half-closed session by a reset: after this long without a byte, and after this
  // long in all, counted from the first end until both legs are closed.
  base::Limit half_closed_idle;
  base::Limit half_closed_total;
  // The same for a session of which both flows have ended: a reader took nothing more for this
  // long.
  base::Limit closing = std::chrono::seconds(90);
  // And for one in which nothing moved for this long, either way; where half_closed_idle is set,
  // that takes its place while a session is half-closed.
  base::Limit idle;
  // R4: what came from a leg that has failed is delivered to the other one, which may take nothing
  // for this long: the time after which a leg that does not answer counts as vanished.
  base::Milliseconds vanished_after = std::chrono::seconds(90);

  friend bool operator==(const FinSettings&, const FinSettings&) = default;
};

}  // namespace finhold::core
