// R3(c), "auto": how long a FIN is held back for who has shown what the end means to it. Pure, and
// a few bytes; what is learned is kept for each server of a route and each direction.
//
// While nothing is known an end is held for 5 s. A session then shows one of these:
//   talked on  bytes or an end came the other way while the FIN was held, later than the short wait
//              would have let it go: to let it go early may cost what still comes. Or bytes came
//              behind the FIN, too soon to be an answer to it, or again after another silence
//   waited     nothing came, and then, behind the FIN, an answer in one piece, an end or a reset
//              did: who got it had waited for it, and every second of holding was lost
//   lost       nothing came, and behind the FIN the other side was not heard of any more
// After two that waited, and none that ever talked on, the end goes after a short wait: four round
// trips, 100 ms at least. One that talks on, and it is 5 s again from the next session on, for
// good; one that is lost, and it is 5 s until two more have waited.
#pragma once

#include <cstdint>

#include "base/duration.h"
#include "core/deadlines.h"
#include "core/fin_policy.h"

namespace finhold::core {

// How long, where the other side is known to wait. `round_trip`: of the leg that the FIN goes to.
base::Milliseconds short_quiet(base::Milliseconds round_trip);

enum class EndLesson : std::uint8_t { none, talked_on, waited, lost };

// What is known of one server of a route, for one direction.
class EndNeeds {
 public:
  void learn(EndLesson lesson);

  // R3(c): for how long nothing is to come the other way before a held FIN goes out.
  [[nodiscard]] base::Milliseconds quiet(base::Milliseconds round_trip) const;

  [[nodiscard]] bool waits() const { return !talked_on_ && waited_ >= enough; }
  [[nodiscard]] bool talks_on() const { return talked_on_; }
  // So many sessions in a row were lost behind the FIN that it is worth a word.
  [[nodiscard]] bool is_lost_again_and_again() const { return lost_ >= many; }

  friend bool operator==(const EndNeeds&, const EndNeeds&) = default;

 private:
  static constexpr std::uint8_t enough = 2;
  static constexpr std::uint8_t many = 3;

  std::uint8_t waited_ = 0;  // in a row, up to `enough`
  std::uint8_t lost_ = 0;    // in a row, up to `many`
  bool talked_on_ = false;   // once
};

// "unknown", "waits", "talks-on".
const char* name(const EndNeeds& needs);

// Watches one held FIN of a session, and says what it has shown, once.
class EndWatch {
 public:
  // The flow is held.
  void held() { state_ = State::held; }

  void released(Release reason);

  // Something came the other way after so long a silence, in milliseconds.
  struct Heard {
    Instant silence;  // since the end, since bytes came last, or since the FIN went out
    Instant short_quiet;
    Instant round_trip;  // the shortest there was, on the leg that the FIN goes to
  };
  EndLesson bytes(const Heard& heard);
  EndLesson end(const Heard& heard);
  // `vanished`: it does not answer any more; else it was a reset.
  EndLesson failure(bool vanished);

  [[nodiscard]] bool is_watching() const { return state_ != State::idle && state_ != State::over; }
  // Nothing came since the FIN went out.
  [[nodiscard]] bool waits_for_answer() const { return state_ == State::waiting; }

  friend bool operator==(const EndWatch&, const EndWatch&) = default;

 private:
  enum class State : std::uint8_t { idle, held, waiting, answered, over };

  EndLesson conclude(EndLesson lesson) {
    state_ = State::over;
    return lesson;
  }

  State state_ = State::idle;
};

}  // namespace finhold::core
