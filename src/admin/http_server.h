// Answers HTTP on one listening socket, one request for each connection. Whoever is slow, silent or
// long-winded is dropped, and there are few connections at a time: nobody who may connect can make
// finhold give it more than that, nor keep others from an answer. When all connections are taken,
// one that has said nothing gives way to who comes, of the address that has the most of these.
//
// Not a server library with threads: that gives each slow client one of them, and takes its own
// sockets after privileges are gone. So HTTP is parsed and written by a library that does no I/O
// (admin/http.h). (2026-11-22; tests/integration/operation/test_admin.py.)
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "admin/collector.h"
#include "admin/site.h"
#include "net/descriptor.h"
#include "net/listener.h"
#include "net/loop.h"
#include "net/poller.h"
#include "net/timers.h"

namespace finhold::admin {

// On the loop's thread.
class HttpServer final : private net::Listener::Owner {
 public:
  static constexpr std::size_t most_connections = 128;
  static constexpr std::size_t most_answers = 64;           // of these, with a request
  static constexpr net::Instant patience_ms = 100;          // with who has said nothing, in a crowd
  static constexpr net::Instant request_within_ms = 5'000;  // the whole of it
  static constexpr net::Instant answer_within_ms = 20'000;  // taken by the other side
  static constexpr net::Instant goodbye_within_ms = 2'000;

  // Everything referred to outlives it. `listening` is non-blocking and has leg options.
  HttpServer(const Site& site, Collector& collector, net::Loop& loop, net::Poller& poller,
             net::Timers& timers, net::Descriptor listening);
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;
  ~HttpServer();

  // code 0: it answers from now on.
  base::Error start() { return listener_.start(); }

 private:
  class Connection;

  bool may_accept() override;
  void on_accepted(net::Descriptor fd, const base::Address& client) override;
  void on_paused(const base::Error& error) override;
  void on_recovered() override {}
  void remove(const Connection& connection);
  [[nodiscard]] Connection* that_gives_way() const;
  void make_room_for_answer();

  const Site& site_;
  Collector& collector_;
  net::Loop& loop_;
  net::Poller& poller_;
  net::Timers& timers_;
  std::vector<std::unique_ptr<Connection>> connections_;
  net::Listener listener_;
};

}  // namespace finhold::admin
