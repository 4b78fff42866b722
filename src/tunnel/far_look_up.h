// A request whose server's name is being looked up.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/error.h"
#include "http2/stream.h"
#include "net/resolver.h"
#include "net/timers.h"
#include "tunnel/allow_list.h"
#include "tunnel/far_connection.h"

namespace finhold::tunnel {

// On the worker's thread. Destroying it abandons the look-up; the stream is left as it is.
class FarLookUp final : private http2::Stream::Events,
                        private net::Resolver::Waiter,
                        private net::Timer {
 public:
  // One call follows, in which it may be destroyed.
  class Owner {
   public:
    // Nothing found: error.code 0, the name has no address; ETIMEDOUT, the time has passed; EBUSY,
    // too many names are being looked up already; any other, nobody could tell.
    virtual void on_looked_up(FarLookUp& request, std::span<const base::Address> found,
                              const base::Error& error) = 0;
    // The near end does not want it any more; the stream was forgotten.
    virtual void on_abandoned(FarLookUp& request) = 0;

   protected:
    ~Owner() = default;
  };

  // Everything referred to outlives it. `name`: what is looked up (AllowList::to_look_up).
  FarLookUp(Owner& owner, net::Timers& timers, net::Resolver& resolver, FarAsker asker,
            Destination destination, std::string name);
  FarLookUp(const FarLookUp&) = delete;
  FarLookUp& operator=(const FarLookUp&) = delete;
  ~FarLookUp();

  // May call the owner at once.
  void start(net::Instant until);

  [[nodiscard]] FarAsker& asker() { return asker_; }
  [[nodiscard]] const Destination& destination() const { return destination_; }

 private:
  void on_answer(int status) override;
  void on_readable() override;
  void on_writable() override;
  void on_reset(http2::ErrorCode code) override;
  void on_resolved(const std::vector<base::Address>& addresses, int error) override;
  void on_time() override;

  Owner& owner_;
  net::Resolver& resolver_;
  FarAsker asker_;
  Destination destination_;
  std::string name_;
  bool resolving_ = false;
};

}  // namespace finhold::tunnel
