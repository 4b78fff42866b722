// What is between two TCP sockets: a path with its delay, its losses, and perhaps a middlebox that
// forgets connections.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <string>

#include "simulation/agenda.h"
#include "simulation/random.h"

namespace finhold::simulation {

struct Segment {
  std::uint64_t seq = 0;  // SYN has 0, the first byte 1
  std::uint64_t ack = 0;
  std::uint64_t window = 0;  // bytes from `ack` on that may be sent
  bool syn = false;
  bool has_ack = false;
  bool fin = false;
  bool rst = false;
  std::string bytes;

  [[nodiscard]] std::uint64_t end() const {
    return seq + bytes.size() + (syn ? 1 : 0) + (fin ? 1 : 0);
  }
};

std::string describe(const Segment& segment);

// The kinds of the first table of README.md.
struct Middlebox {
  enum class Timer : std::uint8_t {
    none,      // it forgets nothing
    idle,      // after the first FIN: so long without a packet
    absolute,  // so long after the first FIN, until the second comes
  };
  Timer timer = Timer::none;
  Time after_fin = 0;
  bool resets = false;  // answers what comes for a forgotten connection; else it is silent
  // Of a connection without a FIN; 0: it stays.
  Time open_idle = 0;
};

// What a path does to all packets, from `begin` to `end`.
constexpr Time for_ever = 1000 * hour;

struct Outage {
  Time begin = 0;
  Time end = 0;
};

struct PathOptions {
  Time delay = 0;
  std::uint32_t lost_in_1000 = 0;
  Outage outage;
  Middlebox box;
};

class Ends;

// One connection's way from one end to the other. Packets stay in order, as nearly all do.
class Path final : private Actor {
 public:
  // Everything referred to outlives it.
  Path(Agenda& agenda, Random& random, const PathOptions& options, Ends& ends)
      : agenda_(agenda), random_(random), options_(options), ends_(ends) {}
  Path(const Path&) = delete;
  Path& operator=(const Path&) = delete;

  // `to`: 0 is the end that has connected, 1 the one that was connected to.
  void send(int to, const Segment& segment);

 private:
  struct Travelling {
    Time at;
    Segment segment;
  };

  void on_event(std::uint64_t to) override;
  bool passes(int to, const Segment& segment);
  void forget_if_time_is_over();

  Agenda& agenda_;
  Random& random_;
  const PathOptions& options_;
  Ends& ends_;
  std::array<std::deque<Travelling>, 2> travelling_;
  bool known_ = true;  // to the box
  std::array<bool, 2> fin_passed_{};
  Time first_fin_ = 0;
  Time last_packet_ = 0;
};

// Those who get what a path carries.
class Ends {
 public:
  virtual void on_segment(int to, const Segment& segment) = 0;
  // For the trace and for what the wire must not show: each that a path takes, and its fate.
  virtual void on_wire(int /*to*/, const Segment& /*segment*/, bool /*passes*/) {}

 protected:
  ~Ends() = default;
};

}  // namespace finhold::simulation
