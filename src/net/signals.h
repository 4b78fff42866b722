// Signals as events of a poller.
#pragma once

#include <initializer_list>

#include "net/descriptor.h"
#include "net/poller.h"

namespace finhold::net {

// To be called before other threads are made, which then leave the signals alone too. From then on
// these wait, for a Signals or for ever: the process is not ended by one, at no time before its own
// end. (libuv gives a signal its default action back as soon as its last watcher closes.)
void hold_signals(std::initializer_list<int> numbers);

// On the loop's thread.
class Signals final : private Watcher {
 public:
  class Listener {
   public:
    virtual void on_signal(int number) = 0;

   protected:
    ~Listener() = default;
  };

  // `poller` and `listener` outlive this. Requires that the signals are held.
  // Throws std::system_error if the kernel refuses it.
  Signals(Poller& poller, std::initializer_list<int> numbers, Listener& listener);
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;
  ~Signals();

 private:
  void on_ready(std::uint32_t events) override;

  Poller& poller_;
  Listener& listener_;
  Descriptor fd_;
};

}  // namespace finhold::net
