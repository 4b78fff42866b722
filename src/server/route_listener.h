// The listener of one route on one worker.
#pragma once

#include "base/error.h"
#include "net/descriptor.h"
#include "net/listener.h"
#include "net/loop.h"
#include "net/poller.h"
#include "net/timers.h"
#include "relay/route.h"
#include "relay/session_table.h"

namespace finhold::server {

// A listening socket that was another route's gives the connections that it accepts the keepalive
// times of this one, whose values the configuration has checked.
void lend_keepalive(int socket, const relay::Route& route);

// On the worker's thread.
class RouteListener final : private net::Listener::Owner {
 public:
  // What those of a worker share. Outlives them.
  struct Shared {
    relay::SessionTable& table;
    relay::SessionQuota& quota;
    net::Loop& loop;
    net::Poller& poller;
    net::Timers& timers;
  };

  // `kept`: by systemd: what waits to be accepted when finhold ends is left to the next one. The
  // route outlives it, or lead_to() is called before.
  RouteListener(const Shared& shared, const relay::Route& route, net::Descriptor socket, bool kept);
  RouteListener(const RouteListener&) = delete;
  RouteListener& operator=(const RouteListener&) = delete;
  ~RouteListener();

  // code 0: it is open.
  base::Error open() { return listener_.start(); }
  // Those who connect from now on are sessions of that route.
  void lead_to(const relay::Route& route);
  // Accepts what waits in a socket of its own.
  void close() { kept_ ? listener_.leave() : listener_.stop(); }
  // The socket, for a far end that takes its place.
  net::Descriptor hand_over() { return listener_.release(); }

 private:
  bool may_accept() override { return shared_.quota.room() && quota_->room(route_->sessions); }
  void on_accepted(net::Descriptor fd, const base::Address& client) override;
  void on_paused(const base::Error& error) override;
  void on_recovered() override;

  const Shared& shared_;
  const relay::Route* route_;
  const bool kept_;
  relay::RouteQuota* quota_;                // of the route
  relay::PauseCount* paused_in_ = nullptr;  // told, and not yet that it has recovered
  net::Listener listener_;
};

}  // namespace finhold::server
