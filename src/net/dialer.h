// Connects to a server by name or address: resolves, then tries every address in turn.
#pragma once

#include <cstdint>
#include <netdb.h>
#include <optional>
#include <vector>

#include "base/address.h"
#include "base/error.h"
#include "net/descriptor.h"
#include "net/poller.h"
#include "net/resolver.h"
#include "net/socket.h"
#include "net/timers.h"

namespace finhold::net {

struct DialOptions {
  Instant timeout_ms = 10'000;  // for everything together: the name and all its addresses
  KeepaliveOptions keepalive;
  std::uint32_t mark = 0;               // SO_MARK; 0: none
  std::optional<base::Address> source;  // not mapped; port 0: the kernel chooses
  bool transparent = false;             // `source` may be an address of another machine
};

// A socket as a dial with these options connects it; dial_source.h has the operations of its
// errors.
base::Result<Descriptor> dialing_socket(int family, const DialOptions& options);

// One dial. On the loop's thread. Destroying it abandons the dial.
//
// Each address but the last has an equal share of the time that is left, so that one dead address
// does not use up the time of the living. When the process is out of descriptors or ports, the dial
// waits for one within its time; also for a port that is given and still in use towards that
// address, by a connection that is about to go. Errors before connect() name their operation
// (dial_source.h).
class Dialer final : private Watcher, private Timer, private Resolver::Waiter {
 public:
  class Owner {
   public:
    // Connected. `registered`: the poller knows `fd` already, for the dialer, and Poller::change
    // gives it a new watcher. The dialer may be destroyed in the call.
    virtual void on_dialed(Descriptor fd, base::Address server, bool registered) = 0;
    // No address could be reached; the error of the last one tried (ETIMEDOUT: the time passed).
    // `unresolved`: the name has no address (error.code 0), or nobody could tell. The dialer may be
    // destroyed in the call.
    virtual void on_dial_failed(base::Error error, bool unresolved) = 0;

   protected:
    ~Owner() = default;
  };

  // Everything referred to must outlive this.
  Dialer(Loop& loop, Poller& poller, Timers& timers, Resolver& resolver, Owner& owner,
         const DialOptions& options);
  Dialer(const Dialer&) = delete;
  Dialer& operator=(const Dialer&) = delete;
  ~Dialer();

  // Exactly one call of the owner follows, perhaps before this returns.
  void start(const base::HostPort& server);
  // Exactly these, at least one, as if a name had them: no name is looked up.
  void start(const std::vector<base::Address>& servers);

 private:
  void on_ready(std::uint32_t events) override;
  void on_time() override;
  void on_resolved(const std::vector<base::Address>& addresses, int error) override;
  void try_next();
  bool try_address(const base::Address& address);
  bool will_pass(const base::Address& address);
  void failed(base::Error error);
  [[nodiscard]] bool connected_to_itself(const base::Address& address) const;

  Loop& loop_;
  Poller& poller_;
  Resolver& resolver_;
  Owner& owner_;
  DialOptions options_;
  Instant give_up_at_ = 0;
  std::vector<base::Address> addresses_;
  std::size_t next_ = 0;  // in addresses_
  Descriptor fd_;         // of the address that is being tried
  base::Error last_error_{};
  bool resolving_ = false;
  bool starved_ = false;  // waits for a descriptor, to try addresses_[next_] again
};

}  // namespace finhold::net
