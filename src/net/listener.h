// Accepts connections on one listening socket, in bursts.
#pragma once

#include "base/address.h"
#include "net/descriptor.h"
#include "net/poller.h"
#include "net/timers.h"

namespace finhold::net {

// On the loop's thread.
class Listener final : private Watcher, private Timer {
 public:
  static constexpr Instant calm_ms = 5000;

  class Owner {
   public:
    // Whether one more connection may be accepted now; asked before each.
    virtual bool may_accept() = 0;
    virtual void on_accepted(Descriptor fd, const base::Address& client) = 0;
    // Accepting has paused: may_accept() said no (error.code 0), or no descriptor or memory is
    // left. It resumes by itself. At the limit it does both many times a second: the first pause is
    // told, and the recovery once no pause was needed for calm_ms.
    virtual void on_paused(const base::Error& error) = 0;
    virtual void on_recovered() = 0;

   protected:
    ~Owner() = default;
  };

  // `fd` listens and is non-blocking. Everything referred to must outlive this.
  Listener(Poller& poller, Timers& timers, Loop& loop, Descriptor fd, Owner& owner);
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;
  ~Listener();

  // Starts to accept. code 0: done.
  base::Error start();

  // Accepts what waits already, then closes the socket: nobody whose connection the kernel had
  // completed is turned away.
  void stop();

  // Closes our descriptor only, of a socket that somebody else keeps: what waits is left to whoever
  // listens next.
  void leave();

  [[nodiscard]] int fd() const { return fd_.get(); }

  // The socket for another one, which accepts what waits in it. Nothing is accepted here any more.
  Descriptor release();

 private:
  void on_ready(std::uint32_t events) override;
  void on_time() override;
  void accept_burst(int most);
  void pause(const base::Error& error);

  Poller& poller_;
  Loop& loop_;
  Descriptor fd_;
  Owner& owner_;
  bool paused_ = false;
  bool told_ = false;  // of a pause, and not yet of the recovery
  bool draining_ = false;
};

}  // namespace finhold::net
