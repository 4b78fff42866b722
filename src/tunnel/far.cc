#include "tunnel/far.h"

#include <algorithm>
#include <cerrno>
#include <numeric>
#include <utility>

#include "http2/forwarded.h"
#include "tls/secret.h"
#include "tunnel/host_addresses.h"

namespace finhold::tunnel {

namespace log = base::log;

namespace {

constexpr const char* bad_authority =
    "the authority is not host:port, or its address is not written in full";

// Of what a near end may write as it likes.
constexpr std::size_t longest_in_log = 300;

template <typename Thing>
std::unique_ptr<Thing> take_from(std::vector<std::unique_ptr<Thing>>& things, const Thing& one) {
  const auto found = std::find_if(things.begin(), things.end(),
                                  [&](const auto& thing) { return thing.get() == &one; });
  found->swap(things.back());
  auto taken = std::move(things.back());
  things.pop_back();
  return taken;
}

}  // namespace

Far::Far(const FarSettings& settings, const tls::Context* tls, net::Descriptor listening,
         ConnectionTable& connections, relay::SessionTable& sessions, relay::SessionQuota& quota,
         net::Loop& loop, net::Poller& poller, net::Timers& timers)
    : net::Timer(timers),
      settings_(settings),
      tls_(tls),
      connections_(connections),
      sessions_(sessions),
      quota_(quota),
      loop_(loop),
      poller_(poller),
      timers_(timers),
      allow_(settings.allow),
      listener_(poller, timers, loop, std::move(listening), *this) {}

Far::~Far() {
  if (has_turn_end_) poller_.remove_turn_end(*this);
}

base::Error Far::start() { return listener_.start(); }

void Far::drain() {
  draining_ = true;
  listener_.leave();
  for (const auto& near_end : near_ends_) near_end->drain();
  if (!near_ends_.empty()) arm(loop_.now() + net::instant(settings_.life.ping_timeout));
}

// Whoever has not answered the PING behind the first GOAWAY would go on opening sessions.
void Far::on_time() {
  for (const auto& near_end : near_ends_) near_end->refuse_new();
}

net::Descriptor Far::hand_over() {
  net::Descriptor listening = listener_.release();
  drain();
  return listening;
}

std::size_t Far::streams() const {
  return std::accumulate(
      near_ends_.begin(), near_ends_.end(), std::size_t{0},
      [](std::size_t sum, const auto& near_end) { return sum + near_end->open_streams(); });
}

void Far::on_accepted(net::Descriptor fd, const base::Address& near) {
  if (near_ends_.size() >= places() && !make_room()) return;
  near_ends_.push_back(std::make_unique<FarConnection>(static_cast<FarConnection::Owner&>(*this),
                                                       near, loop_.now()));
  ConnectionOptions options;
  options.role = http2::Endpoint::Role::far;
  options.http2.max_streams = settings_.streams_per_connection;
  options.tls = tls_;
  options.life = settings_.life;
  strangers_.add(*near_ends_.back());
  near_ends_.back()->start(connections_, std::move(fd), options);
}

void Far::on_paused(const base::Error& error) {
  // A stranger holds what there is none of.
  if (error.code == EMFILE || error.code == ENFILE) make_room();
  log::Line("accepting is paused; near ends wait in the kernel's queue")
      .add("far", settings_.route.name)
      .add("reason", error.code != 0 ? error.text()
                     : places() == settings_.connections
                         ? "connections of [[far]] is reached"
                         : "there are no more descriptors for near ends")
      .write(log::Level::warning);
}

void Far::on_recovered() {
  log::Line("accepting goes on").add("far", settings_.route.name).write(log::Level::info);
}

log::Line Far::line_about(std::string_view message, const FarConnection& near_end) const {
  log::Line line(message);
  line.add("far", settings_.route.name).add("near", near_end.address().text());
  if (near_end.was_ready() && settings_.tls) line.add("identity", near_end.identity());
  return line;
}

// Whoever has shown a certificate of client_ca is no stranger, and each of its lines is written.
void Far::tell_arrival(log::Line line) {
  if (settings_.tls && !settings_.tls->client_ca.empty()) return line.write(log::Level::info);
  const auto left_out = arrivals_.take(loop_.now());
  if (left_out) write_limited(line, *left_out, log::Level::info);
}

void Far::write_limited(log::Line& line, std::uint64_t left_out, log::Level level) {
  if (left_out > 0) line.add("left_out", left_out);
  line.write(level);
}

void Far::on_near_end_ready(FarConnection& near_end) {
  // Its certificate was asked for, and is good.
  if (takes_all() || (settings_.tls && !settings_.tls->client_ca.empty())) {
    near_end.prove();
  }
  tell_arrival(line_about("near end connected", near_end));
}

void Far::on_near_end_gone(FarConnection& near_end, const std::string& why) {
  if (near_end.was_ready()) {
    log::Line line = line_about("near end gone", near_end);
    line.add("streams", near_end.streams());
    if (why.empty()) {
      tell_arrival(std::move(line));
    } else if (const auto left_out = lines_about(near_end).take(loop_.now())) {
      write_limited(line.add("error", why), *left_out);
    }
  } else if (!why.empty()) {
    if (const auto left_out = lines_about(near_end).take(loop_.now())) {
      log::Line line = line_about("refused a connection", near_end);
      line.add("error", why);
      write_limited(line, *left_out);
    }
  }
  strangers_.remove(near_end);
  take_from(near_ends_, near_end);
}

void Far::on_request(FarAsker asker, const http2::ConnectRequest& request) {
  judge_near_end(asker.near_end);
  if (judge_ == nullptr) return turn_away(asker);
  judge_->judge(std::move(asker), request);
}

void Far::judge(FarAsker asker, const http2::ConnectRequest& request) {
  const std::string& why_barred = asker.near_end.why_barred();
  if (!why_barred.empty()) return refuse(asker, answer::not_allowed, why_barred);
  // First, so that who has none learns nothing.
  if (!settings_.token.empty() && !tls::is_same_secret(settings_.token, request.token)) {
    return refuse(asker, answer::needs_token,
                  request.token.empty()
                      ? "no token: write the same one in [[tunnel]] and in [[far]]"
                      : "a wrong token: write the same one in [[tunnel]] and in [[far]]");
  }
  asker.near_end.prove();
  asker.client = http2::forwarded_client(request.forwarded).value_or(asker.near);
  const auto destination = Destination::parse(asker.authority);
  if (!destination) {
    return refuse(asker, answer::bad_request, bad_authority);
  }
  if (!quota_.room()) return refuse(asker, answer::no_room, "limits.sessions is reached");
  asker.place = FarPending::take(quota_, asker.near);
  if (asker.place == nullptr) {
    return refuse(
        asker, answer::no_room,
        "a quarter of limits.sessions waits for names and servers that this near end wants");
  }
  if (destination->name.empty()) return open(asker, *destination, {&destination->address, 1});
  if (!allow_.may_look_up(*destination)) {
    return refuse(asker, answer::not_allowed, "the name is not in allow");
  }
  requests_.push_back(std::make_unique<FarLookUp>(static_cast<FarLookUp::Owner&>(*this), timers_,
                                                  sessions_.resolver(), std::move(asker),
                                                  *destination, allow_.to_look_up(*destination)));
  requests_.back()->start(loop_.now() + net::instant(settings_.route.connect_timeout));
}

void Far::on_malformed_request(const FarConnection& near_end, std::string_view authority,
                               int status) {
  const auto left_out = lines_about(near_end).take(loop_.now());
  if (!left_out) return;
  log::Line line = line_about("refused a request", near_end);
  if (status == 0) {
    line.add("reason", "streams_per_connection of [[far]] is reached");
    return write_limited(line, *left_out);
  }
  line.add("authority", authority.substr(0, longest_in_log))
      .add("reason", status == 405   ? "it is no CONNECT: nothing else is served here"
                     : status == 431 ? "its header fields are too large"
                                     : bad_authority);
  write_limited(line, *left_out);
}

void Far::on_looked_up(FarLookUp& request, std::span<const base::Address> found,
                       const base::Error& error) {
  // It leaves before anything else happens: a session may be over at once.
  const std::unique_ptr<FarLookUp> done = take_from(requests_, request);
  FarAsker& asker = done->asker();
  const Destination& destination = done->destination();
  // By another configuration the name might be looked up otherwise, or not at all.
  if (judge_ != this) return turn_away(asker);
  if (!found.empty()) return open(asker, destination, found);
  if (error.code == EBUSY) {
    return refuse(asker, answer::no_room, "too many names are being looked up");
  }
  if (error.code == ETIMEDOUT) {
    return refuse(asker, answer::look_up_timeout, "its name was not looked up in time");
  }
  refuse(asker, answer::unresolved,
         error.code == 0 ? "its name has no address"
                         : "its name cannot be looked up: " + error.text());
}

void Far::on_abandoned(FarLookUp& request) { take_from(requests_, request); }

// Where they may be dialed; exactly these are.
void Far::open(FarAsker& asker, const Destination& destination,
               std::span<const base::Address> found) {
  // What is not listed is refused in any case, before the kernel is asked what is this host's own.
  const auto listed = allow_.admit(destination, found, {});
  if (!listed.ok()) return refuse(asker, answer::prohibited, listed.error().text);
  const auto host = host_addresses(found, settings_.route.own_mark());
  if (!host.ok()) {
    return refuse(
        asker, answer::failed_here,
        "it is not known whether this is an address of this host: " + host.error().text());
  }
  const auto admitted = allow_.admit(destination, found, host.value());
  if (!admitted.ok()) return refuse(asker, answer::prohibited, admitted.error().text);
  if (leaves_none_to_others(asker.near_end)) {
    log_refusal(asker,
                "connections of [[far]] is nearly reached, and its certificate, or address, uses "
                "some of them: what is left is for others");
    return turn_away(asker);  // another of its connections has room
  }
  auto leg = std::make_unique<FarLeg>(asker.connection, asker.stream);
  leg->opened.under = &settings_;
  leg->opened.destination = destination;
  leg->opened.servers = admitted.value();
  asker.place->become_session();
  leg->opened.place = std::move(asker.place);
  asker.near_end.add(*leg);
  sessions_.open(settings_.route, std::move(leg), asker.client, admitted.value(), asker.near);
}

void Far::log_refusal(const FarAsker& asker, const std::string& reason) {
  const auto left_out = lines_about(asker.near_end).take(loop_.now());
  if (!left_out) return;
  log::Line line("refused a request");
  line.add("far", settings_.route.name)
      .add("near", asker.near.text())
      .add("client", asker.client.text())
      .add("authority", std::string_view(asker.authority).substr(0, longest_in_log))
      .add("reason", reason);
  write_limited(line, *left_out);
}

void Far::refuse(const FarAsker& asker, FarAnswer answer, const std::string& reason) {
  log_refusal(asker, reason);
  asker.stream.respond(answer.status, answer.error);
  asker.stream.forget();
  asker.connection.touch();
}

}  // namespace finhold::tunnel
