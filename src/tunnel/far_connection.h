// One connection that a near end has made to the far end.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/address.h"
#include "net/descriptor.h"
#include "net/loop.h"
#include "tunnel/connection.h"
#include "tunnel/connection_table.h"
#include "tunnel/far_pending.h"
#include "tunnel/strangers.h"

namespace finhold::tunnel {

class FarLeg;
class FarConnection;

// Who asks for a session, and for which: also what a refusal tells of it.
struct FarAsker {
  FarConnection& near_end;  // as long as the stream was not reset
  Transport& connection;
  http2::Stream& stream;
  base::Address near;
  base::Address client;  // that the near end names; or else itself
  std::string authority;
  std::unique_ptr<FarPending> place = nullptr;  // once it was let in
};

// On the worker's thread.
class FarConnection final : private Connection::Owner {
 public:
  class Owner {
   public:
    virtual void on_near_end_ready(FarConnection& near_end) = 0;
    // A stream was opened: it is to be answered, or to be given events. Its client is the near end
    // until somebody looks at request.forwarded, which costs far more than its bytes.
    virtual void on_request(FarAsker asker, const http2::ConnectRequest& request) = 0;
    // A request was answered already, by http2::Endpoint (http2::Endpoint::Events::on_refused): it
    // is none that can become a session.
    virtual void on_malformed_request(const FarConnection& near_end, std::string_view authority,
                                      int status) = 0;
    // It has shown who it is. Told once.
    virtual void on_near_end_proven(FarConnection& near_end) = 0;
    // It is over; `why`: a sentence, or empty if it ended in order. It may be destroyed in the
    // call.
    virtual void on_near_end_gone(FarConnection& near_end, const std::string& why) = 0;

   protected:
    ~Owner() = default;
  };

  // `owner` outlives it.
  FarConnection(Owner& owner, const base::Address& address, net::Instant now);
  FarConnection(const FarConnection&) = delete;
  FarConnection& operator=(const FarConnection&) = delete;
  ~FarConnection();

  void start(ConnectionTable& connections, net::Descriptor socket,
             const ConnectionOptions& options);

  // It opens no sessions any more, once it has heard of that, and ends in order after the last one.
  void drain() { connection_->drain(); }
  // After drain(): it opens none, whether or not it has heard of that.
  void refuse_new() { connection_->refuse_new(); }

  // Why it opens no session any more: a sentence for the log. Empty: it may.
  void bar(std::string why) { why_barred_ = std::move(why); }
  [[nodiscard]] const std::string& why_barred() const { return why_barred_; }
  // Whether it has shown a certificate that this one believes.
  [[nodiscard]] bool is_believed_by(const tls::Context& tls) const {
    return connection_->is_believed_by(tls);
  }

  // The sessions that it has opened, as long as their legs are open.
  [[nodiscard]] const std::vector<FarLeg*>& legs() const { return legs_; }
  void add(FarLeg& leg);
  void remove(const FarLeg& leg);

  [[nodiscard]] const base::Address& address() const { return address_; }
  // The connection is closed, and that is told as any other end.
  void cut() {
    is_cut_ = true;
    connection_->cut();
  }
  [[nodiscard]] bool is_cut() const { return is_cut_; }
  // Connection::waits_for_us().
  [[nodiscard]] bool waits_for_us() const {
    return connection_ != nullptr && connection_->waits_for_us();
  }
  [[nodiscard]] net::Instant accepted_at() const { return accepted_at_; }

  // It has shown what strangers have not: a certificate of client_ca, or a right token.
  void prove();
  [[nodiscard]] bool is_proven() const { return is_proven_; }
  Strangers::Place place_of_stranger;  // while it has not

  // By its owner, after a reload.
  bool is_to_be_judged = false;

  // Whose it is, for counting what each has: by its certificate once it has shown one, by its
  // address until then, and without.
  [[nodiscard]] std::uint64_t source() const { return source_; }

  // By its certificate, once it was ready; empty: it has shown none.
  [[nodiscard]] const std::string& identity() const { return identity_; }
  [[nodiscard]] bool was_ready() const { return was_ready_; }
  // That it uses: opened, or being dialed.
  [[nodiscard]] std::size_t sessions() const { return legs_.size(); }
  // No session uses it, and nothing that was written waits for it.
  [[nodiscard]] bool is_unused() const { return legs_.empty() && connection_->is_unused(); }
  // That are open.
  [[nodiscard]] std::size_t open_streams() const { return connection_->streams(); }
  // That it has opened.
  [[nodiscard]] std::uint64_t streams() const { return streams_; }

 private:
  void on_ready(Connection& connection) override;
  void on_connect(Connection& connection, http2::Stream& stream,
                  const http2::ConnectRequest& request) override;
  void on_refused(Connection& connection, std::string_view authority, int status) override;
  void on_room(Connection& connection) override;
  void on_goaway(Connection& connection) override;
  void on_closed(Connection& connection, const std::string& why) override;

  Owner& owner_;
  base::Address address_;
  std::uint64_t source_ = 0;
  Connection* connection_ = nullptr;
  std::string identity_;
  std::string why_barred_;
  std::vector<FarLeg*> legs_;
  std::uint64_t streams_ = 0;
  net::Instant accepted_at_;
  bool was_ready_ = false;
  bool is_proven_ = false;
  bool is_cut_ = false;
};

}  // namespace finhold::tunnel
