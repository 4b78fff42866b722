// Readiness of many descriptors, edge-triggered, and the loop of a worker: one epoll of our own, in
// which libuv's is embedded (uv_backend_fd) for what is rare: timers, names, wake-ups.
//
// Why not a uv_poll_t a descriptor: a level-triggered watcher must be re-armed to match what a
// session wants at the moment, and while a FIN is held there is no mask that is both quiet and sees
// everything (READABLE and DISCONNECT spin after the FIN, 0 is blind to a RST, PRIORITIZED spins on
// an urgent byte that is not read). With edges every descriptor is registered once, for everything,
// for life; each change is told once; and closing a descriptor needs no callback. It also saves
// four epoll_ctl a connection.
// The price is that readiness must be remembered (relay::Leg::readable, writable), and that a flow
// with more to do must queue for the next turn. (2026-11-22: R3 to R4 of the closing rules, tried
// with both; tests/integration/closing/test_reset_while_held.py, test_urgent.py.)
#pragma once

#include <array>
#include <cstdint>
#include <sys/epoll.h>
#include <vector>

#include "base/error.h"
#include "net/descriptor.h"
#include "net/loop.h"

namespace finhold::net {

class Watcher {
 public:
  // EPOLLIN, EPOLLOUT, EPOLLRDHUP, EPOLLHUP, EPOLLERR, EPOLLPRI.
  virtual void on_ready(std::uint32_t events) = 0;

 protected:
  ~Watcher() = default;
};

// What is to be done at the end of every turn, before the poller waits again.
class TurnEnd {
 public:
  // True: there is more to do, the poller shall look for events but not wait for them. So also if
  // this has given something to do to one that was asked before it.
  virtual bool turn_end() = 0;

 protected:
  ~TurnEnd() = default;
};

// On the loop's thread.
class Poller final : private Watcher {
 public:
  static constexpr std::uint32_t every_edge = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | EPOLLET;

  // Throws std::system_error if the kernel refuses what it needs.
  explicit Poller(Loop& loop);
  Poller(const Poller&) = delete;
  Poller& operator=(const Poller&) = delete;

  // Runs the loop, descriptors and libuv alike, until stop(); may be called again then. Every libuv
  // handle of the loop that waits for a descriptor (a Wake) must have been made before.
  void run();
  void stop() { stopped_ = true; }

  // Counts the batches of events, and wraps around: what is told in one turn was all true before
  // anything was done in it.
  [[nodiscard]] std::uint16_t turn() const { return turn_; }

  // Each turn ends with all of them, in the order in which they were added, even if one stops the
  // poller. Each is removed before it is destroyed, or outlives run(); none from within a
  // turn_end().
  void add_turn_end(TurnEnd& turn_end) { turn_ends_.push_back(&turn_end); }
  void remove_turn_end(TurnEnd& turn_end) { std::erase(turn_ends_, &turn_end); }

  // Tells `watcher` of `events` on `fd` until the descriptor is closed, or another watcher takes
  // over. What is ready already is told in the next turn. code 0: done. Otherwise the epoll_ctl
  // error: ENOMEM, ENOSPC (fs.epoll.max_user_watches).
  base::Error add(int fd, std::uint32_t events, Watcher& watcher);

  // Any thread. A place for `fd`, of which nobody is told until add(): that cannot fail then.
  base::Error reserve(int fd);

  // Another watcher or other events for a descriptor that was added; the edges are told anew.
  base::Error change(int fd, std::uint32_t events, Watcher& watcher);

  // No event reaches `watcher` afterwards, also none of the batch that is being told now. For a
  // descriptor that is about to be closed, which takes it out of the epoll without a system call
  // of its own. Requires that no other descriptor refers to the same socket.
  void forget(const Watcher& watcher);

  // The same for a descriptor whose socket others have too, so that closing it is not enough.
  void remove(int fd, const Watcher& watcher);

 private:
  base::Error control(int operation, int fd, std::uint32_t events, Watcher* watcher);
  void on_ready(std::uint32_t events) override;
  bool end_turn();

  [[nodiscard]] bool put_off(Instant due, bool more);

  static constexpr int batch_size = 256;

  Loop& loop_;
  Descriptor epoll_;
  std::vector<TurnEnd*> turn_ends_;
  bool stopped_ = false;
  bool libuv_ready_ = false;
  std::uint16_t turn_ = 0;
  int put_off_turns_ = 0;      // for which libuv's timers still wait
  Instant put_off_until_ = 0;  // ... at most
  int calm_turns_ = 0;         // of them, in a row, the last
  std::array<epoll_event, batch_size> batch_{};
  int next_ = 0;  // in batch_, while it is being told
  int count_ = 0;
};

}  // namespace finhold::net
