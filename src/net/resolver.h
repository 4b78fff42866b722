// Looks up names for the dials of one loop, on the threads of the process (look_up_threads.h).
// Dials for the same name share one look-up while it runs, so that a name whose servers do not
// answer cannot take all threads from the others.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/address.h"
#include "net/look_up_threads.h"
#include "net/loop.h"

namespace finhold::net {

// On the loop's thread; destroy it after its waiters.
class Resolver final : private LookUp::Asker, private Wake::Listener {
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

  explicit Resolver(Loop& loop) : wake_(loop, *this) {}
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;
  ~Resolver();

  // on_resolved() follows once, in a later turn, unless the waiter is forgotten before. 0, or an
  // errno if the look-up could not be started.
  int resolve(const base::HostPort& host, Waiter& waiter);
  void forget(const Waiter& waiter);

 private:
  using Waiters = std::vector<Waiter*>;  // nullptr: forgotten while they are being told

  void on_looked_up(std::unique_ptr<LookUp> done) override;
  void on_wake() override;
  void tell(const LookUp& done);

  std::map<std::string, Waiters> look_ups_;  // by HostPort::text()
  std::mutex mutex_;
  std::vector<std::unique_ptr<LookUp>> done_;  // under mutex_
  Wake wake_;
};

}  // namespace finhold::net
