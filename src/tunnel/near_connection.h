// One connection of the near end, from the dial to its close.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "base/address.h"
#include "base/error.h"
#include "net/dialer.h"
#include "tunnel/connection.h"
#include "tunnel/connection_table.h"
#include "tunnel/settings.h"

namespace finhold::tunnel {

// On the worker's thread.
class NearConnection final : private net::Dialer::Owner, private Connection::Owner {
 public:
  // Each link ends with exactly one on_link_over(), unless it is destroyed before.
  class Owner {
   public:
    virtual void on_link_ready(NearConnection& link) = 0;
    // Its room, or its load, may have changed.
    virtual void on_link_changed(NearConnection& link) = 0;
    // It opens no sessions any more; those that it has go on.
    virtual void on_link_retired(NearConnection& link) = 0;
    // It is over, or never was; `why`: a sentence, or empty if it ended in order. The link is to be
    // destroyed, in the call or later.
    virtual void on_link_over(NearConnection& link, const std::string& why) = 0;

   protected:
    ~Owner() = default;
  };

  // What all links of a near end share. Outlives them.
  struct Shared {
    const TunnelSettings& settings;
    const tls::Context* tls;  // nothing: in clear
    ConnectionTable& connections;
    net::Loop& loop;
    net::Poller& poller;
    net::Timers& timers;
    net::Resolver& resolver;
    Owner& owner;
  };

  explicit NearConnection(const Shared& shared);
  NearConnection(const NearConnection&) = delete;
  NearConnection& operator=(const NearConnection&) = delete;
  ~NearConnection() = default;

  // May end it at once.
  void dial();

  // Its end is no loss any more. One that is not ready yet is over at once, or soon.
  void dismiss();

  // Nothing until it is dialed.
  [[nodiscard]] Connection* connection() { return connection_; }
  [[nodiscard]] bool was_ready() const { return ready_at_ != 0; }
  // When; 0: never.
  [[nodiscard]] net::Instant ready_at() const { return ready_at_; }

  // Sessions that were lost with it.
  std::size_t resets = 0;
  // For its owner.
  std::size_t place = 0;
  std::size_t place_with_room = 0;
  net::Instant idle_since = 0;   // without a session; 0: it has one
  net::Instant rests_until = 0;  // it has refused a session that had been; 0: it does not
  bool dismissed = false;        // it is to end, in order
  bool answered = false;         // a session

 private:
  void on_dialed(net::Descriptor fd, base::Address server, bool registered) override;
  void on_dial_failed(base::Error error, bool unresolved) override;
  void on_ready(Connection& connection) override;
  void on_connect(Connection& connection, http2::Stream& stream,
                  const http2::ConnectRequest& request) override;
  void on_room(Connection& connection) override;
  void on_goaway(Connection& connection) override;
  void on_closed(Connection& connection, const std::string& why) override;

  const Shared& shared_;
  net::Instant give_up_at_;
  std::optional<net::Dialer> dialer_;
  Connection* connection_ = nullptr;
  net::Instant ready_at_ = 0;
};

}  // namespace finhold::tunnel
