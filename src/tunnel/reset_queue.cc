#include "tunnel/reset_queue.h"

namespace finhold::tunnel {

void ResetQueue::Entry::leave() {
  if (queue_ == nullptr) return;
  Line& line = queue_->lines_[line_];
  (before_ != nullptr ? before_->behind_ : line.first) = behind_;
  (behind_ != nullptr ? behind_->before_ : line.last) = before_;
  --line.size;
  --queue_->size_;
  queue_ = nullptr;
  before_ = behind_ = nullptr;
}

void ResetQueue::add(Entry& entry, std::uint64_t source) {
  if (entry.queue_ != nullptr) return;
  entry.queue_ = this;
  entry.line_ = source % lines_.size();
  Line& line = lines_[entry.line_];
  entry.before_ = line.last;
  (line.last != nullptr ? line.last->behind_ : line.first) = &entry;
  line.last = &entry;
  ++line.size;
  ++size_;
}

void ResetQueue::tell_some() {
  for (int told = 0; told < most_told && size_ > 0; ++told) {
    while (lines_[next_].first == nullptr) next_ = (next_ + 1) % lines_.size();
    Entry& entry = *lines_[next_].first;
    next_ = (next_ + 1) % lines_.size();
    entry.leave();
    entry.tell();
  }
}

}  // namespace finhold::tunnel
