// One run's machines: the hosts' connections, and what passes between them.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "simulation/agenda.h"
#include "simulation/connection.h"
#include "simulation/network.h"
#include "simulation/random.h"

namespace finhold::simulation {

// The machines, as in 10.0.0.x.
constexpr std::uint32_t client_host = 1;
constexpr std::uint32_t proxy_host = 2;
constexpr std::uint32_t server_host = 3;

// How finhold's worker behaves.
struct Pace {
  // Now and then, but only so often, it comes back from epoll_wait() up to so much later, and finds
  // more that has happened.
  Time lag = 0;
  int lags = 8;
};

class World final : private Connection::Watcher {
 public:
  class Owner {
   public:
    // A connection to a server's end has come about.
    virtual void on_accepted(Connection& connection) = 0;
    // A FIN goes towards an end that has sent none: an early one.
    virtual void on_early_fin(const Connection& /*connection*/, int /*to*/) {}

   protected:
    ~Owner() = default;
  };

  World(std::uint64_t seed, Owner& owner) : random_(seed), owner_(owner) {}
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  [[nodiscard]] Agenda& agenda() { return agenda_; }
  [[nodiscard]] Random& random() { return random_; }
  [[nodiscard]] Time now() const { return agenda_.now(); }

  // The path that connections between two machines take from now on, and who answers at its end.
  void set_path(std::uint32_t from, std::uint32_t to, const PathOptions& options, Server server,
                const std::array<Buffers, 2>& buffers);
  // A connection that is not begun: its first socket's connect() does that.
  Connection& connection(std::uint32_t from, std::uint32_t to);
  // The one with that end; nullptr: none has. For sock_diag.
  [[nodiscard]] const Socket* find(const EndAddress& own, const EndAddress& other) const;

  [[nodiscard]] const std::vector<std::unique_ptr<Connection>>& connections() const {
    return connections_;
  }

  Pace pace;
  // The how-manyth system call from now on fails, if it can, with the error that `which` picks; 0:
  // none.
  std::uint64_t fails_at = 0;
  std::uint64_t fails_with = 0;

  // A line a thing that happened, for a person.
  void trace_to(std::string* trace) { trace_ = trace; }
  [[nodiscard]] bool traces() const { return trace_ != nullptr; }
  void trace(const std::string& line);

 private:
  struct Way {
    std::uint32_t from;
    std::uint32_t to;
    PathOptions options;
    Server server;
    std::array<Buffers, 2> buffers;
  };

  void on_accepted(Connection& connection) override { owner_.on_accepted(connection); }
  void on_wire(const Connection& connection, int to, const Segment& segment, bool passes) override;

  Agenda agenda_;
  Random random_;
  Owner& owner_;
  std::vector<std::unique_ptr<Way>> ways_;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::uint16_t next_port_ = 40000;
  std::string* trace_ = nullptr;
};

}  // namespace finhold::simulation
