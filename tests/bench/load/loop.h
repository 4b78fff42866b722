// One epoll loop for both ends of every session.
//
// Small ends go first: after each chunk of a bulk end, all small ends that are ready get their
// turn. A delay that a small one sees is then the proxy's, not ours.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <sys/epoll.h>
#include <vector>

namespace bench {

using Clock = std::chrono::steady_clock;

// What a descriptor wants from the loop. It may change or close its own descriptor in on_ready, and
// no other one.
class Source {
 public:
  Source() = default;
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;
  virtual ~Source() = default;
  virtual void on_ready(std::uint32_t events) = 0;
};

class Loop {
 public:
  enum class Rank : std::uint8_t { small, bulk };

  Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;
  ~Loop();

  // Takes the descriptor and its source; level-triggered.
  void add(int fd, std::uint32_t events, std::unique_ptr<Source> source, Rank rank = Rank::small);
  void change(int fd, std::uint32_t events);
  // Another source for a descriptor, of a small one. Both destroy the old one: its on_ready must
  // return at once.
  void replace(int fd, std::unique_ptr<Source> source);
  void promote(int fd, std::uint32_t events, std::unique_ptr<Source> source);  // to a bulk one
  // Closes the descriptor and destroys its source: its on_ready must return at once.
  void close(int fd);

  // Calls the source of a descriptor with no event at all.
  void nudge(int fd);

  // One round: every small end that is ready, then one bulk end.
  void turn(std::chrono::milliseconds longest_wait);

 private:
  struct Entry {
    std::unique_ptr<Source> source = {};
    Rank rank = Rank::small;
  };
  void dispatch(const epoll_event& event);

  int small_;
  int bulk_;
  std::size_t bulk_count_ = 0;
  std::vector<Entry> entries_;  // by descriptor
  std::array<epoll_event, 256> small_events_ = {};
  std::array<epoll_event, 64> bulk_events_ = {};
  int bulk_next_ = 0;
  int bulk_ready_ = 0;
};

}  // namespace bench
