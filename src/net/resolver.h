// Looks up names with getaddrinfo() on libuv's threads. Dials for the same name share one look-up
// while it runs, so that a name whose servers do not answer cannot take all threads from the
// others.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/address.h"
#include "net/loop.h"

namespace finhold::net {

// On the loop's thread; destroy it after its waiters.
class Resolver {
 public:
  class Waiter {
   public:
    // The addresses, in the order in which they are to be tried. None: error 0 means that the name
    // has none; otherwise the reason why nobody could tell, as an errno (EAGAIN: no answer from the
    // name servers). `addresses` is valid during the call. Waiters may be forgotten in the call.
    virtual void on_resolved(const std::vector<base::Address>& addresses, int error) = 0;

   protected:
    ~Waiter() = default;
  };

  explicit Resolver(Loop& loop) : loop_(loop) {}
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;
  ~Resolver();

  // on_resolved() follows once, in a later turn, unless the waiter is forgotten before. 0, or an
  // errno if the look-up could not be started.
  int resolve(const base::HostPort& host, Waiter& waiter);
  void forget(const Waiter& waiter);

  // Look-ups that are still running, in the whole process: also those that nobody waits for any
  // more, since getaddrinfo() cannot be stopped and a loop cannot be destroyed before they are
  // over. Any thread.
  static std::uint32_t running();

 private:
  struct LookUp;

  Loop& loop_;
  std::map<std::string, LookUp*>
      look_ups_;  // by HostPort::text(); owned by libuv until the callback
};

}  // namespace finhold::net
