// A near and a far end with all that they need, and the servers behind, over TCP loopback in one
// loop.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/log.h"
#include "core/ending.h"
#include "net/descriptor.h"
#include "net/loop.h"
#include "net/poller.h"
#include "net/resolver.h"
#include "net/timers.h"
#include "relay/session_table.h"
#include "tunnel/connection_table.h"
#include "tunnel/far.h"
#include "tunnel/near.h"
#include "unit/awaiting.h"

namespace tunnel_world {

namespace base = finhold::base;
namespace core = finhold::core;
namespace net = finhold::net;
namespace relay = finhold::relay;
namespace tunnel = finhold::tunnel;

// A listening socket on 127.0.0.1; clients wait in the kernel until they are accepted.
struct Listening {
  Listening();
  // The next client; blocking, but for receive(). Nothing: there is none.
  [[nodiscard]] net::Descriptor accept() const;

  net::Descriptor socket;
  base::Address address;
};

// What has come over an accepted socket: bytes, "." for the end, "!" for a reset.
std::string receive(int fd);

// The near end's leg, in the hands of a session that reads everything.
struct Client final : relay::Leg::Owner {
  explicit Client(std::unique_ptr<relay::Leg> of);
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  virtual ~Client() = default;

  void on_leg_ready(base::Side side) override;
  void write(std::string_view text) const;
  [[nodiscard]] core::Ending ending() const { return leg->ending_of_failure(base::Side::server); }

  std::unique_ptr<relay::Leg> leg;
  std::string got;  // bytes, "." for the end, "!" for a failure
};

// The log, while a test makes sessions and refusals.
struct Quiet {
  Quiet() { base::log::configure(base::log::Level::error, base::log::Format::text); }
  Quiet(const Quiet&) = delete;
  Quiet& operator=(const Quiet&) = delete;
  ~Quiet() { base::log::configure(base::log::Level::info, base::log::Format::text); }
};

struct Machine {
  Quiet quiet;
  net::Loop loop;
  net::Poller poller{loop};
  net::Timers timers{loop};
  net::Resolver resolver{loop};
};

class World : public Machine,
              private relay::SessionTable::Owner,
              private tunnel::ConnectionTable::Owner {
 public:
  World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;
  virtual ~World() = default;

  // Runs the loop until it is so; fails the test after ten seconds.
  void until(const std::function<bool()>& is_so);

  // Settings are to be changed before; the far end's port is the near end's then. A far end that
  // was there before stays as long as its near ends may.
  void start_far();
  void start_near();
  void start() {
    start_far();
    start_near();
    until([this] { return near->connections() > 0; });
  }
  // To `server`, or wherever the text says.
  std::unique_ptr<Client> client(const base::Address& server) { return client(server.text()); }
  std::unique_ptr<Client> client(const std::string& authority);
  // A program's socket, connected to a session that goes through the tunnel to `server`.
  // Non-blocking.
  net::Descriptor connected(const base::Address& server);
  // The next that comes to a server.
  net::Descriptor accepted(const Listening& server);

  base::Milliseconds connect_timeout = std::chrono::seconds(10);
  tunnel::TunnelSettings near_settings;
  tunnel::FarSettings far_settings;
  const finhold::tls::Context* far_tls = nullptr;
  relay::SessionQuota quota{1000, false};
  tunnel::ConnectionTable near_connections{loop, poller, timers, 65'536, *this};
  tunnel::ConnectionTable far_connections{loop, poller, timers, 65'536, *this};
  std::optional<tunnel::Near> near;
  relay::SessionTable sessions{loop, poller, timers, quota, *this, {}};
  std::unique_ptr<tunnel::Far> far;

 private:
  void on_empty() override {}
  std::unique_ptr<relay::Leg> leg_to_server(const relay::Session& session) override;
  void on_no_connections() override {}

  relay::Route near_route_;
  std::vector<std::unique_ptr<tunnel::Far>> former_fars_;
  finhold::tests::Awaiting awaiting_{loop, poller, timers};
};

}  // namespace tunnel_world
