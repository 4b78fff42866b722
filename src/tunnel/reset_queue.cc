#include "tunnel/reset_queue.h"

namespace finhold::tunnel {

void ResetQueue::Entry::leave() {
  if (queue_ == nullptr) return;
  (before_ != nullptr ? before_->behind_ : queue_->first_) = behind_;
  (behind_ != nullptr ? behind_->before_ : queue_->last_) = before_;
  queue_ = nullptr;
  before_ = behind_ = nullptr;
}

void ResetQueue::add(Entry& entry) {
  if (entry.queue_ != nullptr) return;
  entry.queue_ = this;
  entry.before_ = last_;
  (last_ != nullptr ? last_->behind_ : first_) = &entry;
  last_ = &entry;
}

void ResetQueue::tell_some() {
  for (int told = 0; told < most_told && first_ != nullptr; ++told) {
    Entry& entry = *first_;
    entry.leave();
    entry.tell();
  }
}

}  // namespace finhold::tunnel
