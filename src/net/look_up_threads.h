// Threads that look names up. getaddrinfo() may take long and cannot be stopped, so no loop calls
// it. Not libuv's threads: it makes them all at the first look-up, aborts the process if one cannot
// be had then, and lets names have half of them (2026-11-26;
// tests/integration/operation/test_look_ups.py). Who has how many of them: net/look_up_queue.
#pragma once

#include <memory>
#include <string_view>

#include "base/address.h"
#include "net/look_up_queue.h"

namespace finhold::net {

// Those of the whole process. Any thread.
class LookUpThreads {
 public:
  // Makes the few that are always there; more are made when they are busy, up to a bound, and if
  // one cannot be had then, names wait for the others. Throws std::system_error if these few cannot
  // be had. Signals are to be held before: the threads leave them alone then.
  static void begin();

  // 0: on_looked_up() follows once, unless it is withdrawn or the asker is forgotten before. EBUSY:
  // too many wait already, of that owner or of all. Any other: the errno of a thread that cannot be
  // had, if there is none at all.
  static int ask(std::unique_ptr<LookUp> look_up);

  // `asker` does not want this one any more.
  static void withdraw(const LookUp::Asker& asker, const base::HostPort& host,
                       std::string_view owner);

  // Nothing more is told to `asker`, and nobody is in a call of it.
  static void forget(const LookUp::Asker& asker);

  // Ends and joins them. False: some look-up is under way, so that nothing was done.
  static bool end();
};

}  // namespace finhold::net
