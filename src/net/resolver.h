// Looks up names for the dials of one loop, on the threads of the process (look_up_threads.h).
// Those of one owner (look_up_queue.h) for the same name share one look-up while it is under way;
// it is withdrawn when the last of them is forgotten. Each that is told may go on to a dial, so a
// part of many is told in a turn.
#pragma once

#include <cstddef>
#include <deque>
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
  struct WaitingFor;

 public:
  class Waiter {
   public:
    // The addresses, in the order in which they are to be tried. None: error 0 means that the name
    // has none; otherwise the reason why nobody could tell, as an errno (EAGAIN: no answer from the
    // name servers). `addresses` is valid during the call. Waiters may be forgotten in the call.
    virtual void on_resolved(const std::vector<base::Address>& addresses, int error) = 0;

   protected:
    ~Waiter() = default;

   private:
    friend class Resolver;
    WaitingFor* waits_for_ = nullptr;
    std::size_t place_ = 0;
  };

  explicit Resolver(Loop& loop) : wake_(loop, *this) {}
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;
  ~Resolver();

  // on_resolved() follows once, in a later turn, unless the waiter is forgotten before. 0, or an
  // errno if the look-up could not be started: EBUSY, the owner has too many, or all have. `owner`:
  // whose look-up it is; empty: a name of the configuration.
  int resolve(const base::HostPort& host, Waiter& waiter, const std::string& owner = {});
  // Requires that it waits.
  void forget(Waiter& waiter);

 private:
  // Those who wait for one look-up.
  struct WaitingFor {
    base::HostPort host;
    std::string owner;
    std::vector<Waiter*> waiters;  // nullptr: told, or forgotten while the others are told
    bool being_told = false;
  };
  using LookUps = std::map<std::string, WaitingFor>;  // by key_of()
  struct Answered {
    LookUps::node_type waited_for;
    std::unique_ptr<LookUp> answer;
    std::size_t next = 0;  // who is to be told
  };

  static constexpr int told_in_a_turn = 16;

  int begin(WaitingFor& waited_for, const base::HostPort& host, const std::string& owner);
  void on_looked_up(std::unique_ptr<LookUp> done) override;
  void on_wake() override;
  bool tell_next(Answered& answered);
  static std::string key_of(const base::HostPort& host, const std::string& owner);

  LookUps look_ups_;
  std::deque<Answered> answered_;  // with waiters who were not told yet
  std::mutex mutex_;
  std::vector<std::unique_ptr<LookUp>> done_;  // under mutex_
  Wake wake_;
};

}  // namespace finhold::net
