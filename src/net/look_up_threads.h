// Threads that look names up. getaddrinfo() may take long and cannot be stopped, so no loop calls
// it. Not libuv's threads: it makes them all at the first look-up, aborts the process if one cannot
// be had then, and lets names have half of them.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/address.h"

namespace finhold::net {

// One look-up, and what came of it.
struct LookUp {
  class Asker {
   public:
    // On one of the threads; to be over soon, and without a call to these threads.
    virtual void on_looked_up(std::unique_ptr<LookUp> done) = 0;

   protected:
    ~Asker() = default;
  };

  base::HostPort host;
  Asker* asker = nullptr;
  std::vector<base::Address> addresses;
  int error = 0;  // as Resolver::Waiter has it
};

// Those of the whole process. Any thread.
class LookUpThreads {
 public:
  // Makes the few that are always there; more are made when they are busy, up to a bound, and if
  // one cannot be had then, names wait for the others. Throws std::system_error if these few cannot
  // be had. Signals are to be held before: the threads leave them alone then.
  static void begin();

  // 0: on_looked_up() follows once, unless the asker is forgotten before. Otherwise the errno of a
  // thread that cannot be had, if there is none at all.
  static int ask(std::unique_ptr<LookUp> look_up);

  // Nothing more is told to `asker`, and nobody is in a call of it.
  static void forget(const LookUp::Asker& asker);

  // Look-ups that are under way: also those whose asker is forgotten.
  static std::uint32_t running();

  // Ends and joins them. False: some look-up is under way, so that nothing was done.
  static bool end();
};

}  // namespace finhold::net
