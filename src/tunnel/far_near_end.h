// One connection that a near end has made to the far end.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/address.h"
#include "net/descriptor.h"
#include "net/loop.h"
#include "tunnel/connection.h"
#include "tunnel/connection_table.h"

namespace finhold::tunnel {

// Who asks for a session, and for which: also what a refusal tells of it.
struct FarAsker {
  Carrier& connection;
  Http2Stream& stream;
  base::Address near;
  base::Address client;  // that the near end names; or else itself
  std::string authority;
};

// On the worker's thread.
class FarNearEnd final : private Connection::Owner {
 public:
  class Owner {
   public:
    virtual void on_near_end_ready(FarNearEnd& near_end) = 0;
    // A stream was opened: it is to be answered, or to be given events. `token` is a secret.
    virtual void on_request(const FarAsker& asker, std::string_view token) = 0;
    // A request was answered already, by Http2 (Http2::Events::on_refused): it is none that can
    // become a session.
    virtual void on_malformed_request(const FarNearEnd& near_end, std::string_view authority,
                                      int status) = 0;
    // It is over; `why`: a sentence, or empty if it ended in order. It may be destroyed in the
    // call.
    virtual void on_near_end_gone(FarNearEnd& near_end, const std::string& why) = 0;

   protected:
    ~Owner() = default;
  };

  // `owner` outlives it.
  FarNearEnd(Owner& owner, const base::Address& address, net::Instant now)
      : owner_(owner), address_(address), accepted_at_(now) {}
  FarNearEnd(const FarNearEnd&) = delete;
  FarNearEnd& operator=(const FarNearEnd&) = delete;
  ~FarNearEnd() = default;

  void start(ConnectionTable& connections, net::Descriptor socket,
             const ConnectionOptions& options);

  // It opens no sessions any more, and ends in order after the last one.
  void drain() { connection_->drain(); }

  [[nodiscard]] const base::Address& address() const { return address_; }
  // Before it was ready: the connection is closed, and that is told as any other end.
  void cut() {
    connection_->cut();
    is_cut_ = true;
  }
  [[nodiscard]] bool is_cut() const { return is_cut_; }
  [[nodiscard]] net::Instant accepted_at() const { return accepted_at_; }

  // By its certificate, once it was ready; empty: it has shown none.
  [[nodiscard]] const std::string& identity() const { return identity_; }
  [[nodiscard]] bool was_ready() const { return was_ready_; }
  // That are open.
  [[nodiscard]] std::size_t open_streams() const { return connection_->streams(); }
  // That it has opened.
  [[nodiscard]] std::uint64_t streams() const { return streams_; }

 private:
  void on_ready(Connection& connection) override;
  void on_connect(Connection& connection, Http2Stream& stream,
                  const ConnectRequest& request) override;
  void on_refused(Connection& connection, std::string_view authority, int status) override;
  void on_room(Connection& connection) override;
  void on_goaway(Connection& connection) override;
  void on_closed(Connection& connection, const std::string& why) override;

  Owner& owner_;
  base::Address address_;
  Connection* connection_ = nullptr;
  std::string identity_;
  std::uint64_t streams_ = 0;
  net::Instant accepted_at_;
  bool was_ready_ = false;
  bool is_cut_ = false;
};

}  // namespace finhold::tunnel
