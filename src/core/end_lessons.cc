#include "core/end_lessons.h"

#include <algorithm>

namespace finhold::core {

base::Milliseconds short_quiet(base::Milliseconds round_trip) {
  constexpr int round_trips = 4;
  constexpr base::Milliseconds least{100};
  return std::clamp(round_trips * round_trip, least, patient_quiet);
}

void EndNeeds::learn(EndLesson lesson) {
  switch (lesson) {
    case EndLesson::none:
      return;
    case EndLesson::talked_on:
      talked_on_ = true;
      waited_ = 0;
      break;
    case EndLesson::waited:
      waited_ = std::min<std::uint8_t>(waited_ + 1, enough);
      break;
    case EndLesson::lost:
      waited_ = 0;
      lost_ = std::min<std::uint8_t>(lost_ + 1, many);
      return;
  }
  lost_ = 0;
}

base::Milliseconds EndNeeds::quiet(base::Milliseconds round_trip) const {
  return waits() ? short_quiet(round_trip) : patient_quiet;
}

const char* name(const EndNeeds& needs) {
  if (needs.talks_on()) return "talks-on";
  return needs.waits() ? "waits" : "unknown";
}

void EndWatch::released(Release reason) {
  state_ = state_ == State::held && reason == Release::quiet ? State::waiting : State::over;
}

EndLesson EndWatch::bytes(const Heard& heard) {
  const bool is_late = heard.silence > heard.short_quiet;
  switch (state_) {
    case State::held:
    case State::answered:
      return is_late ? conclude(EndLesson::talked_on) : EndLesson::none;
    case State::waiting:
      // The clock counts whole milliseconds.
      if (heard.silence + 1 < heard.round_trip) return conclude(EndLesson::talked_on);
      state_ = State::answered;
      return EndLesson::none;
    case State::idle:
    case State::over:
      break;
  }
  return EndLesson::none;
}

EndLesson EndWatch::end(const Heard& heard) {
  switch (state_) {
    case State::held:
      return conclude(heard.silence > heard.short_quiet ? EndLesson::talked_on : EndLesson::none);
    case State::waiting:
      return conclude(heard.silence + 1 < heard.round_trip ? EndLesson::talked_on
                                                           : EndLesson::waited);
    case State::answered:
      return conclude(EndLesson::waited);
    case State::idle:
    case State::over:
      break;
  }
  return EndLesson::none;
}

// A reset while the FIN is held shows nothing: there was no more to come.
EndLesson EndWatch::failure(bool vanished) {
  const bool behind_fin = state_ == State::waiting || state_ == State::answered;
  if (!behind_fin) return conclude(EndLesson::none);
  return conclude(vanished ? EndLesson::lost : EndLesson::waited);
}

}  // namespace finhold::core
