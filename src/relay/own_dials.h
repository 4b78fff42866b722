// Finhold's own connections to the servers of routes that intercept, by which it knows one that
// rules divert back to it.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "base/address.h"

namespace finhold::relay {

// Where the rules do not spare finhold's own connections, each session makes another, thousands a
// second. One for the whole process; any thread, no lock. It may miss a connection that another
// worker accepts at the very moment of the dial, or one whose place a second connection from the
// same port has taken; the next in the circle is met then. It practically never
// takes another connection for one of ours: while ours is open, nobody else can have the same two
// addresses (but the client, whose address it may have by source = "client": such a connection is
// not to be added), and two others from the same port are taken for one another once in 2^31 times,
// since 31 bits of a hash are compared. Whole addresses do not fit into one atomic word.
class OwnDials {
 public:
  // What was added, for its removal. Of a default one nothing is removed.
  struct Entry {
    std::uint32_t value = 0;
    std::uint16_t port = 0;
  };

  // A connection of ours, from here to a server.
  Entry add(const base::Address& from, const base::Address& server);
  // It is over: before its socket is closed, for then the port is anybody's. Another that has taken
  // its place stays: one port may be that of connections to several servers.
  void remove(Entry entry);

  [[nodiscard]] bool contains(const base::Address& from, const base::Address& server) const;

 private:
  // By the port that it comes from: a short form of both addresses; 0: none.
  std::array<std::atomic<std::uint32_t>, 65'536> places_{};
};

}  // namespace finhold::relay
