// Legs whose stream was reset, or whose connection is lost, and whose sessions are still to learn
// of it. The end of a session costs some 50 us, and a near end may have thousands: told in one
// event, all of them would keep others from their turn for as long.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace finhold::tunnel {

// On the worker's thread. Outlives what is in it.
class ResetQueue {
 public:
  // Leaves when it is destroyed.
  class Entry {
   public:
    Entry(const Entry&) = delete;
    Entry& operator=(const Entry&) = delete;

   protected:
    Entry() = default;
    ~Entry() { leave(); }

    // What there was to tell is known already.
    void leave();

   private:
    friend class ResetQueue;
    virtual void tell() = 0;

    ResetQueue* queue_ = nullptr;  // that it stands in
    std::size_t line_ = 0;
    Entry* before_ = nullptr;
    Entry* behind_ = nullptr;
  };

  // In a turn: about 2 ms. (2026-11-28: 9900 sessions of one near end that were reset each second
  // took 0.16 s from others before.)
  static constexpr int most_told = 32;
  // Of one source, before nothing more is read from it: it would open sessions faster than those
  // that are over end.
  static constexpr std::size_t many = 128;

  ResetQueue() = default;
  ResetQueue(const ResetQueue&) = delete;
  ResetQueue& operator=(const ResetQueue&) = delete;

  [[nodiscard]] bool empty() const { return size_ == 0; }
  // Once it stands there, that is enough. Sources have their turn one after the other.
  void add(Entry& entry, std::uint64_t source);
  // What is told may add others, and destroy any.
  void tell_some();
  [[nodiscard]] bool has_many_of(std::uint64_t source) const {
    return lines_[source % lines_.size()].size >= many;
  }

 private:
  struct Line {
    Entry* first = nullptr;
    Entry* last = nullptr;
    std::size_t size = 0;
  };

  std::array<Line, 64> lines_;  // by source; a few may share one
  std::size_t next_ = 0;        // of these
  std::size_t size_ = 0;
};

}  // namespace finhold::tunnel
