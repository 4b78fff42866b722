#include "tunnel/near.h"

#include <algorithm>
#include <cerrno>
#include <new>
#include <random>
#include <utility>

#include "base/check.h"
#include "base/log.h"

namespace finhold::tunnel {

namespace log = base::log;

namespace {

// Dials at a time, for legs that wait.
constexpr std::size_t most_starting = 64;

// A connection that was ready for so long was a success, even without a session.
constexpr net::Instant lasting_ms = 5000;

// That a failure which stays the same is logged again.
constexpr net::Instant say_again_after_ms = 60'000;

// Of a connection that refuses; and how many may at a time: for each, another one is dialed.
constexpr net::Instant rest_ms = 200;
constexpr std::ptrdiff_t most_resting = 8;

constexpr std::size_t no_place = ~std::size_t{0};

// More streams than a connection has.
constexpr std::size_t last_of_all = 1'000'000;

// Set while this lives, also if want of memory ends that: it may be one session's (SessionTable).
class While {
 public:
  explicit While(bool& flag) : flag_(flag) { flag_ = true; }
  While(const While&) = delete;
  While& operator=(const While&) = delete;
  ~While() { flag_ = false; }

 private:
  bool& flag_;
};

}  // namespace

Near::Near(const TunnelSettings& settings, const tls::Context* tls, ConnectionTable& connections,
           net::Loop& loop, net::Poller& poller, net::Timers& timers, net::Resolver& resolver)
    : settings_(settings),
      loop_(loop),
      timers_(timers),
      shared_{settings, tls, connections, loop, poller, timers, resolver, *this},
      back_off_(std::random_device{}()),
      redial_(timers, *this, &Near::fill),
      surplus_(timers, *this, &Near::close_unused),
      rest_(timers, *this, &Near::end_rests) {}

Near::~Near() { FINHOLD_CHECK(waiting_.empty()); }

void Near::start() { fill(); }

std::unique_ptr<relay::Leg> Near::leg(const std::string& authority, const base::Address& client,
                                      base::Milliseconds connect_timeout) {
  const net::Instant until = loop_.now() + net::instant(connect_timeout);
  auto leg = std::make_unique<NearLeg>(settings_, waiting_, static_cast<NearLeg::Owner&>(*this),
                                       timers_, authority, client, until);
  settle();
  return leg;
}

void Near::drain() {
  draining_ = true;
  settle();
}

// Everything that can be done now. A link that is over at once does not begin it again.
void Near::settle() {
  if (settling_) return;
  const While settling(settling_);
  serve();
  fill();
  if (draining_ && waiting_.empty()) dismiss_all();
}

void Near::dismiss_all() {
  // From the back: one that is over at once leaves its place to the last.
  for (std::size_t i = links_.size(); i > 0; --i) {
    NearConnection& link = *links_[i - 1];
    if (link.dismissed) continue;
    const bool was_ready = link.was_ready();
    link.dismiss();
    if (was_ready) note_room(link);  // any other may be gone
  }
}

// Who waits longest goes first.
void Near::serve() {
  while (!waiting_.empty()) {
    NearConnection* const link = least_loaded(waiting_.front()->refused_by());
    if (link == nullptr) return;
    const bool opened = waiting_.front()->open_on(*link);
    if (opened) link->idle_since = 0;
    note_room(*link);
    // It says that it can, and could not: nothing that more tries would help.
    if (!opened && link->place_with_room != no_place) return;
  }
}

std::size_t Near::streams() const {
  std::size_t sum = 0;
  for (const auto& link : links_) {
    if (link->connection() != nullptr) sum += link->connection()->streams();
  }
  return sum;
}

// `last` only if there is no other.
NearConnection* Near::least_loaded(const Connection* last) {
  NearConnection* best = nullptr;
  std::size_t least = 0;
  // From the back: among those without a session the one that was used last, so that the others
  // grow old.
  for (std::size_t i = with_room_.size(); i > 0 && (best == nullptr || least > 0); --i) {
    NearConnection* const link = with_room_[i - 1];
    std::size_t load = link->connection()->streams();
    if (link->connection() == last) load += last_of_all;
    if (best != nullptr && load >= least) continue;
    best = link;
    least = load;
  }
  return best;
}

// How many connections with room there should be.
std::size_t Near::wanted() const {
  const std::size_t each = settings_.streams_per_connection;
  const std::size_t for_waiting = (waiting_.size() + each - 1) / each;
  return for_waiting + (draining_ ? 0 : settings_.connections);
}

void Near::fill() {
  // One tries for all, as long as none succeeds.
  const std::size_t most = back_off_.failures() > 0 ? 1 : most_starting;
  while (!redial_.armed() && starting_ < most && with_room_.size() + starting_ < wanted()) {
    links_.push_back(std::make_unique<NearConnection>(shared_));
    NearConnection& link = *links_.back();
    link.place = links_.size() - 1;
    link.place_with_room = no_place;
    ++starting_;
    try {
      link.dial();  // may be over at once; then redial_ is armed
    } catch (const std::bad_alloc&) {
      on_link_over(link, base::errno_text(ENOMEM));
    }
  }
}

void Near::on_link_ready(NearConnection& link) {
  --starting_;
  // To dial another at once, and another, would help nobody. Nor is it kept: there would be ever
  // more of them.
  if (is_useless(link)) {
    ++ready_;
    return on_link_changed(link);
  }
  failure_.clear();
  log::Line line(ready_ == 0 ? "tunnel is open" : "tunnel has one more connection");
  line.add("tunnel", settings_.name)
      .add("far", settings_.far.text())
      .add("address", link.connection()->other_end().text());
  if (settings_.tls) line.add("identity", link.connection()->identity());
  line.write(ready_ == 0 ? log::Level::info : log::Level::debug);
  ++ready_;
  on_link_changed(link);
}

void Near::on_link_changed(NearConnection& link) {
  if (is_useless(link)) {
    hold_off(link);
    log_useless();
    link.dismiss();
  }
  note_room(link);
  note_load(link);
  settle();
}

// It has no session, and may have none any more: there would be ever more of them.
bool Near::is_useless(NearConnection& link) {
  const Connection* const connection = link.connection();
  return !link.dismissed && connection != nullptr && connection->ready() &&
         connection->streams() == 0 && !connection->can_open();
}

// A far end that sends everybody away at once is not to be asked without a pause.
void Near::on_link_retired(NearConnection& link) {
  if (!link.dismissed) hold_off(link);
  link.dismissed = true;
  on_link_changed(link);
}

// One that became ready has proved nothing yet: it may be closed at once, and the next one too.
void Near::on_answered(NearConnection& link) {
  if (std::exchange(link.answered, true)) return;
  back_off_.succeeded();
  settle();
}

// Many that fail together are one failure.
void Near::hold_off(const NearConnection& link) {
  if (redial_.armed()) return;
  if (link.was_ready() && loop_.now() - link.ready_at() >= lasting_ms) back_off_.succeeded();
  redial_.arm(loop_.now() + back_off_.failed());
}

// Keeps with_room_ true.
void Near::note_room(NearConnection& link) {
  const bool has_room =
      link.connection() != nullptr && link.connection()->can_open() && link.rests_until == 0;
  if (has_room == (link.place_with_room != no_place)) return;
  if (has_room) {
    link.place_with_room = with_room_.size();
    with_room_.push_back(&link);
    return;
  }
  const std::size_t place = std::exchange(link.place_with_room, no_place);
  with_room_[place] = with_room_.back();
  with_room_[place]->place_with_room = place;
  with_room_.pop_back();
  link.place_with_room = no_place;
}

// The far end may keep sessions of it that are over for this one: those whose server is still
// dialed for bytes that it is to get, or reads slowly. They fill connections that stand, and no new
// one.
void Near::on_refused_again(NearConnection& link) {
  const auto resting = std::count_if(links_.begin(), links_.end(),
                                     [](const auto& one) { return one->rests_until != 0; });
  if (link.rests_until != 0 || link.dismissed || resting >= most_resting) return;
  link.rests_until = loop_.now() + rest_ms;
  note_room(link);
  if (!rest_.armed()) rest_.arm(link.rests_until);
}

void Near::end_rests() {
  net::Instant next = 0;
  for (const auto& link : links_) {
    if (link->rests_until == 0) continue;
    if (link->rests_until > loop_.now()) {
      next = next == 0 ? link->rests_until : std::min(next, link->rests_until);
      continue;
    }
    link->rests_until = 0;
    note_room(*link);
  }
  if (next != 0) rest_.arm(next);
  if (!surplus_.armed() && with_room_.size() > settings_.connections) {
    surplus_.arm(loop_.now() + unused_for_ms_);
  }
  settle();
}

void Near::note_load(NearConnection& link) {
  if (link.connection()->streams() > 0) {
    link.idle_since = 0;
  } else if (link.idle_since == 0) {
    link.idle_since = loop_.now();
    if (!surplus_.armed() && with_room_.size() > settings_.connections) {
      surplus_.arm(link.idle_since + unused_for_ms_);
    }
  }
}

// Of the connections that are more than are to be kept open, those that have had no session for
// long.
void Near::close_unused() {
  const net::Instant now = loop_.now();
  net::Instant next = 0;
  for (const auto& link : links_) {
    if (with_room_.size() <= settings_.connections) return;
    if (link->idle_since == 0 || link->place_with_room == no_place) continue;
    const net::Instant at = link->idle_since + unused_for_ms_;
    if (at > now) {
      next = next == 0 ? at : std::min(next, at);
      continue;
    }
    link->dismiss();
    note_room(*link);
  }
  if (next != 0) surplus_.arm(next);
}

void Near::on_link_over(NearConnection& link, const std::string& why) {
  log_over(link, why);
  note_room(link);
  if (link.was_ready()) {
    --ready_;
  } else {
    --starting_;
  }
  if (!link.dismissed) hold_off(link);
  const std::size_t place = link.place;
  links_[place].swap(links_.back());
  links_[place]->place = place;
  links_.pop_back();
  settle();
}

// A far end that stays away fails every attempt alike, for hours.
bool Near::said_lately(const std::string& why) {
  if (why == failure_ && loop_.now() < say_again_at_) {
    ++unsaid_;
    return true;
  }
  failure_ = why;
  say_again_at_ = loop_.now() + say_again_after_ms;
  return false;
}

void Near::log_useless() {
  const std::string why = "the far end allows no stream (SETTINGS_MAX_CONCURRENT_STREAMS is 0)";
  if (said_lately(why)) return;
  auto left_out = lines_.take(loop_.now());
  if (!left_out) return;
  *left_out += std::exchange(unsaid_, 0);
  log::Line line("tunnel cannot be used");
  line.add("tunnel", settings_.name).add("far", settings_.far.text()).add("error", why);
  if (*left_out > 0) line.add("left_out", *left_out);
  line.write(log::Level::warning);
}

void Near::log_over(const NearConnection& link, const std::string& why) {
  // One that was told to go takes nothing with it but sessions.
  if (why.empty() || (link.dismissed && link.resets == 0)) {
    log::Line("tunnel has closed a connection")
        .add("tunnel", settings_.name)
        .add("far", settings_.far.text())
        .write(log::Level::debug);
    return;
  }
  if (!link.was_ready() && said_lately(why)) return;
  auto left_out = lines_.take(loop_.now());
  if (!left_out) return;
  *left_out += std::exchange(unsaid_, 0);
  log::Line line(link.was_ready() ? "tunnel has lost a connection" : "tunnel cannot be opened");
  line.add("tunnel", settings_.name).add("far", settings_.far.text()).add("error", why);
  if (link.was_ready()) line.add("sessions", link.resets);
  if (*left_out > 0) line.add("left_out", *left_out);
  line.write(log::Level::warning);
}

}  // namespace finhold::tunnel
