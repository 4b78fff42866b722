#include "simulation/network.h"

#include <algorithm>

namespace finhold::simulation {

namespace {

// Both FINs have passed: what a box keeps of a connection then (Linux conntrack: TIME_WAIT).
constexpr Time closed_for = 2 * minute;

}  // namespace

std::string describe(const Segment& segment) {
  std::string text;
  if (segment.syn) text += "SYN ";
  if (segment.fin) text += "FIN ";
  if (segment.rst) text += "RST ";
  text += "seq " + std::to_string(segment.seq);
  if (!segment.bytes.empty()) text += " +" + std::to_string(segment.bytes.size());
  if (segment.has_ack) {
    text += " ack " + std::to_string(segment.ack) + " window " + std::to_string(segment.window);
  }
  return text;
}

void Path::send(int to, const Segment& segment) {
  const bool arrives = passes(to, segment);
  ends_.on_wire(to, segment, arrives);
  if (!arrives) return;
  Travelling travelling{agenda_.now() + options_.delay, segment};
  agenda_.plan(travelling.at, *this, static_cast<std::uint64_t>(to));
  travelling_[static_cast<std::size_t>(to)].push_back(std::move(travelling));
}

void Path::on_event(std::uint64_t to) {
  auto& queue = travelling_[to];
  const Segment segment = std::move(queue.front().segment);
  queue.pop_front();
  ends_.on_segment(static_cast<int>(to), segment);
}

void Path::forget_if_time_is_over() {
  const Middlebox& box = options_.box;
  const Time now = agenda_.now();
  const bool first = fin_passed_[0] || fin_passed_[1];
  const bool both = fin_passed_[0] && fin_passed_[1];
  if (both) {
    known_ = known_ && now - last_packet_ < closed_for;
  } else if (first) {
    const Time since = box.timer == Middlebox::Timer::idle ? last_packet_ : first_fin_;
    if (box.timer != Middlebox::Timer::none && now - since >= box.after_fin) known_ = false;
  } else if (box.open_idle != 0 && now - last_packet_ >= box.open_idle) {
    known_ = false;
  }
}

bool Path::passes(int to, const Segment& segment) {
  const Time now = agenda_.now();
  if (now >= options_.outage.begin && now < options_.outage.end) return false;
  if (options_.lost_in_1000 != 0 && random_.below(1000) < options_.lost_in_1000) return false;
  if (options_.box.timer == Middlebox::Timer::none && options_.box.open_idle == 0) return true;
  if (segment.syn && !segment.has_ack) {
    known_ = true;
  } else {
    forget_if_time_is_over();
  }
  if (!known_) {
    if (options_.box.resets && !segment.rst) {
      Segment reset;
      reset.rst = true;
      reset.seq = segment.ack;
      const int back = 1 - to;
      agenda_.plan(now + options_.delay, *this, static_cast<std::uint64_t>(back));
      travelling_[static_cast<std::size_t>(back)].push_back({now + options_.delay, reset});
    }
    return false;
  }
  last_packet_ = now;
  if (segment.rst) known_ = false;
  if (segment.fin) {
    if (!fin_passed_[0] && !fin_passed_[1]) first_fin_ = now;
    fin_passed_[static_cast<std::size_t>(to)] = true;
  }
  return true;
}

}  // namespace finhold::simulation
