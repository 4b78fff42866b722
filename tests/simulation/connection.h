// A connection: two sockets and the path between them, whose addresses the sockets have.
#pragma once

#include <array>
#include <cstdint>

#include "simulation/network.h"
#include "simulation/tcp.h"

namespace finhold::simulation {

struct EndAddress {
  std::uint32_t host = 0;  // 1, 2, 3: 10.0.0.x
  std::uint16_t port = 0;

  friend bool operator==(const EndAddress&, const EndAddress&) = default;
};

// What is at the other end of a connect().
enum class Server : std::uint8_t { listens, refuses, is_silent };

class Connection final : public Ends {
 public:
  class Watcher {
   public:
    // The end that was connected to is established.
    virtual void on_accepted(Connection& connection) = 0;
    virtual void on_wire(const Connection& connection, int to, const Segment& segment,
                         bool passes) = 0;

   protected:
    ~Watcher() = default;
  };

  Connection(Agenda& agenda, Random& random, const PathOptions& options, Server server,
             const std::array<Buffers, 2>& buffers, const std::array<EndAddress, 2>& addresses,
             Watcher& watcher)
      : watcher_(watcher),
        server_(server),
        round_trip_(2 * options.delay),
        addresses_(addresses),
        path_(agenda, random, options, *this),
        sockets_{Socket(agenda, *this, 0, buffers[0]), Socket(agenda, *this, 1, buffers[1])} {}

  [[nodiscard]] Socket& socket(int end) { return sockets_[static_cast<std::size_t>(end)]; }
  [[nodiscard]] const Socket& socket(int end) const {
    return sockets_[static_cast<std::size_t>(end)];
  }
  [[nodiscard]] const EndAddress& address(int end) const {
    return addresses_[static_cast<std::size_t>(end)];
  }
  [[nodiscard]] Time round_trip() const { return round_trip_; }

  // Whether that end has put a FIN on the wire.
  [[nodiscard]] bool fin_from(int end) const { return fin_from_[static_cast<std::size_t>(end)]; }

  // For its sockets.
  void transmit(int from, const Segment& segment) { path_.send(1 - from, segment); }
  void accepted() { watcher_.on_accepted(*this); }

 private:
  void on_segment(int to, const Segment& segment) override {
    if (to == 1 && server_ == Server::is_silent) return;
    if (to == 1 && server_ == Server::refuses) {
      Segment reset;
      reset.rst = true;
      if (!segment.rst) path_.send(0, reset);
      return;
    }
    socket(to).on_segment(segment);
  }
  void on_wire(int to, const Segment& segment, bool passes) override {
    if (segment.fin) fin_from_[static_cast<std::size_t>(1 - to)] = true;
    watcher_.on_wire(*this, to, segment, passes);
  }

  Watcher& watcher_;
  Server server_;
  Time round_trip_;
  std::array<EndAddress, 2> addresses_;
  Path path_;
  std::array<Socket, 2> sockets_;
  std::array<bool, 2> fin_from_{};
};

}  // namespace finhold::simulation
