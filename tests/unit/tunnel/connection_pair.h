// Connections of a near and a far end over TCP loopback, in one loop, and what their streams are
// told. Also an end whose bytes are made by hand.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "net/loop.h"
#include "net/poller.h"
#include "net/timers.h"
#include "tunnel/connection.h"
#include "tunnel/connection_table.h"
#include "unit/awaiting.h"

namespace connection_pair {

using finhold::http2::ConnectRequest;
using finhold::http2::Endpoint;
using finhold::http2::ErrorCode;
using finhold::http2::Stream;
using finhold::tls::Context;
using finhold::tunnel::Connection;
using finhold::tunnel::ConnectionOptions;
using finhold::tunnel::ConnectionTable;

namespace net = finhold::net;

// One end of a stream: sends what it is given, then its end if it has one, and takes what comes.
struct End final : Stream::Events {
  explicit End(Connection& carries) : connection(&carries) {}
  End(const End&) = delete;
  End& operator=(const End&) = delete;
  virtual ~End() = default;

  Connection* connection;
  Stream* stream = nullptr;
  std::string sends;
  std::size_t sent = 0;
  bool finishes = false;
  std::string received;
  bool reads = true;
  bool echoes = false;  // sends what it receives, its end too
  int answer = 0;
  bool ended = false;
  std::optional<ErrorCode> reset;

  // Call it after a change of the above.
  void go();
  void forget();
  [[nodiscard]] bool ended_with(std::string_view text) const {
    return ended && !reset && received == text;
  }

  void on_answer(int status) override { answer = status; }
  void on_readable() override { go(); }
  void on_writable() override { go(); }
  void on_reset(ErrorCode code) override { reset = code; }

 private:
  bool finished_ = false;
};

// One end of the connections.
struct Side final : Connection::Owner, ConnectionTable::Owner {
  Side(net::Loop& loop, net::Poller& poller, net::Timers& timers, std::size_t window);
  Side(const Side&) = delete;
  Side& operator=(const Side&) = delete;
  virtual ~Side() = default;

  std::optional<ConnectionTable> table;
  Connection* connection = nullptr;  // the one that was started last
  int socket = -1;                   // its descriptor, to do what only networks do
  std::string told;                  // "ready, connect a:1, goaway, closed: reset by ..."
  std::vector<std::unique_ptr<End>> ends;
  int rooms = 0;
  int closed = 0;
  bool gone = false;  // the table is empty
  bool knows = true;  // whoever is ready has shown who it is
  std::function<void(End&)> greets = [](End&) {
  };  // what to do with a new stream, which is answered

  End& open(const std::string& authority = "a:1");
  [[nodiscard]] std::size_t ended() const;  // ends that have
  [[nodiscard]] std::size_t reset() const;
  void forget_all();

  void on_ready(Connection& of) override;
  void on_connect(Connection& of, Stream& stream, const ConnectRequest& request) override;
  void on_room(Connection& of) override;
  void on_goaway(Connection& of) override;
  void on_closed(Connection& of, const std::string& why) override;
  void on_no_connections() override { gone = true; }

 private:
  void say(const std::string& what) { told += (told.empty() ? "" : ", ") + what; }
};

// Two connected TCP sockets with leg options, non-blocking. Small buffers: as small as may be.
struct Sockets {
  net::Descriptor one;
  net::Descriptor other;
};
Sockets connected(bool small_buffers = false, const std::string& host = "127.0.0.1");

struct Machine {
  net::Loop loop;
  net::Poller poller{loop};
  net::Timers timers{loop};
};

struct World final : Machine {
  explicit World(std::size_t window = Endpoint::least_window);
  World(const World&) = delete;
  World& operator=(const World&) = delete;
  ~World() = default;

  // Runs the loop until it is so; fails the test after ten seconds.
  void until(const std::function<bool()>& is_so);
  // Only to show that something does not happen.
  void pause(net::Instant milliseconds);

  // Near and far, over TLS if there are contexts, both ready.
  void join(const Context* near_tls = nullptr, const Context* far_tls = nullptr,
            bool small_buffers = false);
  // The other one is for the test; blocking.
  net::Descriptor join(Side& side, const Context* tls = nullptr, bool small_buffers = false,
                       const std::string& host = "127.0.0.1");

  ConnectionOptions options;  // for what is joined from now on
  Side near;
  Side far;

 private:
  void start(Side& side, Endpoint::Role role, const Context* tls, net::Descriptor socket);

  struct Dialer final : net::Watcher {
    void on_ready(std::uint32_t /*events*/) override {}
  };

  Dialer dialer_;
  finhold::tests::Awaiting awaiting_{loop, poller, timers};
};

}  // namespace connection_pair
