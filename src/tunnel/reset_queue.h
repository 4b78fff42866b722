// Legs whose stream was reset, or whose connection is lost, and whose sessions are still to learn
// of it. The end of a session costs some 50 us, and a near end may have thousands: told in one
// event, all of them would keep others from their turn for as long.
#pragma once

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
    Entry* before_ = nullptr;
    Entry* behind_ = nullptr;
  };

  // In a turn: about 2 ms. (2026-11-28: 9900 sessions of one near end that were reset each second
  // took 0.16 s from others before.)
  static constexpr int most_told = 32;

  ResetQueue() = default;
  ResetQueue(const ResetQueue&) = delete;
  ResetQueue& operator=(const ResetQueue&) = delete;

  [[nodiscard]] bool empty() const { return first_ == nullptr; }
  // Once it stands there, that is enough.
  void add(Entry& entry);
  // The first ones. What is told may add others, and destroy any.
  void tell_some();

 private:
  Entry* first_ = nullptr;
  Entry* last_ = nullptr;
};

}  // namespace finhold::tunnel
