// Which name is looked up next, and which has to wait. Pure, and not for several threads at once:
// net/look_up_threads has a lock and the threads.
//
// getaddrinfo() cannot be stopped, and a name whose servers say nothing takes its thread for some
// seconds, wanted or not. So each look-up counts for the one who caused it, its *owner*, until it
// has returned: a near end, or the configuration. There are bounds of four kinds:
// - A name is looked up once at a time, and all that wait for it have the answer.
// - A name is *known* if it was answered at once the last time; any other is new. A near end has an
//   eighth of the threads, half of these for new names; near ends together three quarters, of which
//   new names have two thirds. So silent names, also of many near ends, hold up no known one, and
//   known ones that fall silent, of many near ends, hold up no name of the configuration.
// - Near ends may have so many look-ups waiting, each and together; more are refused. One that
//   nobody waits for any more leaves the queue.
// - Near ends take turns.
// The names of the configuration are few: each is an owner of its own, goes first, and is not
// refused.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/address.h"

namespace finhold::net {

// One look-up, and what came of it.
struct LookUp {
  // Of a name that has more the rest is of no use: each may take as long as a dial does.
  static constexpr std::size_t most_addresses = 16;

  class Asker {
   public:
    // On one of the threads; to be over soon, and without a call to these threads.
    virtual void on_looked_up(std::unique_ptr<LookUp> done) = 0;

   protected:
    ~Asker() = default;
  };

  base::HostPort host;
  std::string owner;  // the near end; empty: the configuration
  Asker* asker = nullptr;
  std::vector<base::Address> addresses;
  int error = 0;  // as Resolver::Waiter has it
};

// Those names that were answered at once the last time; not what the answer was. Each owner has so
// many at most, and all together; then the one goes that was used longest ago, of the owner or of
// who has the most.
class KnownNames {
 public:
  static constexpr std::size_t most_of_one = 256;
  static constexpr std::size_t most = 4096;

  [[nodiscard]] bool contains(const std::string& name) const { return places_.contains(name); }
  [[nodiscard]] std::size_t size() const { return places_.size(); }
  // The name is the owner's who asked for it first.
  void note(const std::string& name, const std::string& owner, bool answered_at_once);

 private:
  using Names = std::list<std::string>;  // the last one used first
  struct Place {
    std::map<std::string, Names>::iterator owner;
    Names::iterator name;
  };

  void forget(const std::string& name);
  void make_room(const std::string& owner);

  std::map<std::string, Names> owners_;
  std::unordered_map<std::string, Place> places_;
};

class LookUpQueue {
 public:
  using LookUps = std::vector<std::unique_ptr<LookUp>>;

  static constexpr std::size_t most_waiting_of_one = 256;
  static constexpr std::size_t most_waiting = 2048;  // of known names, and of new ones

  explicit LookUpQueue(std::size_t threads) : threads_(threads) {}

  // How many there may be, one at least.
  void set_threads(std::size_t threads) { threads_ = threads; }

  // 0, or EBUSY: too many wait already.
  int add(std::unique_ptr<LookUp> look_up);

  // The one that is to be looked up now; nullptr: none may. It stays here until finish(), which
  // moves it.
  LookUp* start();

  // Those that are answered by it, itself among them; not those that were withdrawn.
  LookUps finish(LookUp& done, bool at_once);

  // `asker` does not want that name any more, or nothing at all. What is under way goes on, for
  // nobody.
  void withdraw(const LookUp::Asker& asker, const base::HostPort& host, std::string_view owner);
  void forget(const LookUp::Asker& asker);

  [[nodiscard]] std::size_t waiting() const { return waiting_.size(); }
  [[nodiscard]] std::size_t running() const { return running_.size(); }
  [[nodiscard]] std::size_t owners() const { return owners_.size(); }

 private:
  enum Lane : std::uint8_t { known, unknown, lanes };  // by what was known when it came
  struct Owner {
    std::uint64_t turn = 0;  // who has the lowest is next
    std::size_t waiting = 0;
    std::size_t running[lanes] = {};
  };
  struct Place {
    std::unique_ptr<LookUp> look_up;
    std::map<std::string, Owner>::iterator owner;
    Lane lane;

    [[nodiscard]] bool of_near_end() const { return !look_up->owner.empty(); }
  };

  [[nodiscard]] bool may_start(const Place& place) const;
  [[nodiscard]] bool is_running(const std::string& name) const;
  [[nodiscard]] std::size_t part(std::size_t sixteenths) const;
  template <typename Is>
  void drop(const Is& is);
  void forget_idle(std::map<std::string, Owner>::iterator owner);

  std::size_t threads_;
  std::map<std::string, Owner> owners_;  // that have something here
  std::vector<Place> waiting_;           // in the order in which they came
  std::vector<Place> running_;
  KnownNames known_;
  std::uint64_t turns_ = 0;
};

}  // namespace finhold::net
