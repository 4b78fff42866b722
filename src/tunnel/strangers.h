// Near ends that have not shown who they are, and which of them gives way where there are fewer
// places than want one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <unordered_map>

#include "net/loop.h"

namespace finhold::tunnel {

class FarConnection;

// On the worker's thread.
class Strangers {
 public:
  using List = std::list<FarConnection*>;
  // Where it stands; of FarConnection.
  struct Place {
    std::uint64_t source = 0;
    List::iterator in_all;
    List::iterator in_source;
    bool stands = false;
  };

  void add(FarConnection& near_end);
  [[nodiscard]] std::size_t size() const { return all_.size(); }
  // Also if it does not stand here.
  void remove(FarConnection& near_end);

  // Of so many places in all, none of which is free: one that has had its time, or, at once, one of
  // those whose address has so many that nobody else would have any. Who waits for us is not slow.
  // nullptr: none yet.
  [[nodiscard]] FarConnection* that_gives_way(std::size_t places, net::Instant now) const;

 private:
  List all_;  // in the order in which they came
  std::unordered_map<std::uint64_t, List> of_source_;
};

}  // namespace finhold::tunnel
