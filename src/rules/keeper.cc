#include "rules/keeper.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <exception>
#include <fcntl.h>
#include <poll.h>
#include <string>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>

#include "net/unix_socket.h"
#include "rules/lock.h"
#include "rules/nft_library.h"
#include "rules/nft_rules.h"
#include "rules/policy_routing_monitor.h"
#include "rules/run_program.h"

namespace finhold::rules {
namespace {

using base::Mistake;
using net::Descriptor;

// finhold sends what to do and a number, which comes back before the outcome: an answer that nobody
// waited for any longer is not taken for the next one's. The answer to the end of finhold's sending
// has the number 0.
constexpr char load_all = 'l';
constexpr char stop_all = 's';
constexpr char done = '+';
constexpr char not_done = '-';
constexpr char at_the_end = 0;
constexpr char notice = 127;  // what nobody has asked for
constexpr auto longest_answer = std::chrono::seconds(30);

constexpr auto longest_removal = std::chrono::seconds(10);
// Of the kernel no event of the lock's end can be had.
constexpr auto between_tries = std::chrono::milliseconds(20);

// Somebody who removes the rules again and again is not fought in a circle: each time within `calm`
// the next try waits twice as long.
constexpr auto calm = std::chrono::seconds(60);
constexpr auto longest_pause = std::chrono::seconds(30);

class Keeper {
 public:
  Keeper(const config::Config& config, RulesKeeper::GiveUp give_up, net::Descriptor socket)
      : config_(config), give_up_(give_up), socket_(std::move(socket)) {}

  // Returns the exit code.
  int run() {
    // finhold is ended by these, and its end is what this process goes by. (What the processor
    // raises here still ends it.)
    for (int each = 1; each <= SIGRTMAX; ++each) {
      if (each != SIGCHLD) static_cast<void>(std::signal(each, SIG_IGN));  // NOLINT(cert-err33-c)
    }
    prctl(PR_SET_NAME, "finhold-rules", 0, 0, 0);
    if (const auto mistake = give_up_(config_)) {
      // Whatever is asked for first.
      tell(1, mistake);
      return 1;
    }
    while (wait()) {
      std::array<char, 2> question{};
      if (read(socket_.get(), question.data(), question.size()) != 2) break;
      const auto [what, number] = question;
      tell(number, what == load_all ? load() : stop_catching());
    }
    // Only who has the lock may have loaded something.
    const auto mistake = lock_.is_held() ? remove() : std::nullopt;
    if (!tell(at_the_end, mistake) && mistake) {
      const std::string line = "finhold: cannot remove its rules: " + mistake->text + "\n";
      static_cast<void>(!write(STDERR_FILENO, line.data(), line.size()));
    }
    return mistake ? 1 : 0;
  }

 private:
  using Clock = std::chrono::steady_clock;

  // For a question; meanwhile the routing is looked after. False: there will be none.
  bool wait() {
    for (;;) {
      std::array<pollfd, 2> wanted = {{{socket_.get(), POLLIN, 0}, {removals_.fd(), POLLIN, 0}}};
      int within = -1;
      if (restore_at_) {
        const auto left = std::max(*restore_at_ - Clock::now(), Clock::duration::zero());
        within = static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(left).count());
      }
      const int ready = poll(wanted.data(), wanted.size(), within);
      if (ready < 0 && errno != EINTR) return false;
      if (ready > 0 && wanted[1].revents != 0) note_removal();
      if (restore_at_ && Clock::now() >= *restore_at_) restore();
      if (ready > 0 && wanted[0].revents != 0) return true;
    }
  }

  void note_removal() {
    if (!removals_.take(divert_priority, divert_table) || restore_at_) return;
    const auto now = Clock::now();
    if (now - restored_at_ > calm) pause_ = {};
    restore_at_ = now + pause_;
    lengthen_pause();
    tell_notice(RulesKeeper::Notice::What::removed, "");
  }

  void restore() {
    restore_at_.reset();
    const auto mistake = run_programs(programs_that_route(config_));
    restored_at_ = Clock::now();
    if (!mistake) return tell_notice(RulesKeeper::Notice::What::restored, "");
    restore_at_ = restored_at_ + pause_;
    lengthen_pause();
    tell_notice(RulesKeeper::Notice::What::removed, mistake->text);
  }

  void lengthen_pause() {
    pause_ = std::clamp<Clock::duration>(2 * pause_, std::chrono::seconds(1), longest_pause);
  }

  std::optional<Mistake> load() {
    if (auto mistake = take_lock()) return mistake;
    auto nft = NftLibrary::load();
    if (!nft.ok()) return nft.error();
    nft_.emplace(std::move(nft.value()));
    auto mistake = run_programs(programs_that_load(config_, TableOwner::loader), &*nft_);
    if (!mistake && !programs_that_route(config_).empty()) mistake = hear_of_removals();
    // Half a set would be worse than none.
    if (mistake) static_cast<void>(remove());
    return mistake;
  }

  std::optional<Mistake> hear_of_removals() {
    const base::Error error = removals_.open();
    if (error.code != 0) return Mistake{"rtnetlink: " + error.text()};
    // Somebody may have been quicker.
    return run_programs(programs_that_route(config_));
  }

  std::optional<Mistake> stop_catching() {
    return run_programs(programs_that_stop_catching(config_), nft_ ? &*nft_ : nullptr);
  }

  // What is marked and not routed would go on to its server: the table first.
  std::optional<Mistake> remove() {
    nft_.reset();
    return run_programs(programs_that_remove(TableOwner::loader));
  }

  std::optional<Mistake> take_lock() {
    const auto give_up = Clock::now() + longest_removal;
    for (;;) {
      const base::Error error = lock_.take();
      if (error.code == 0) return std::nullopt;
      if (error.code == EOPNOTSUPP) {
        return Mistake{
            "--apply-rules needs Linux 5.12; load what \"finhold rules\" prints beforehand, and "
            "leave --apply-rules away"};
      }
      if (error.code != EBUSY) return Mistake{error.text()};
      if (Clock::now() >= give_up) {
        const std::string holder = rules::RulesLock::holder();
        return Mistake{"another finhold" + (holder.empty() ? "" : " (" + holder + ")") +
                       " has rules in this network namespace; stop it, or give one of them all "
                       "the routes"};
      }
      if (net::has_ended(socket_.get(), between_tries)) return Mistake{"finhold has ended"};
    }
  }

  // False: finhold is gone.
  bool tell(char number, const std::optional<Mistake>& mistake) {
    const std::string text = mistake ? not_done + mistake->text : std::string(1, done);
    return net::send_packet(socket_.get(), number + text);
  }

  void tell_notice(RulesKeeper::Notice::What what, const std::string& why) {
    net::send_packet(socket_.get(), std::string{notice, static_cast<char>(what)} + why);
  }

  const config::Config& config_;
  RulesKeeper::GiveUp give_up_;
  Descriptor socket_;
  rules::RulesLock lock_;
  std::optional<NftLibrary> nft_;  // whose table is loaded
  rules::PolicyRoutingMonitor removals_;
  std::optional<Clock::time_point> restore_at_;  // the routing, which somebody has removed
  Clock::time_point restored_at_;
  Clock::duration pause_{};
};

}  // namespace

base::Result<RulesKeeper, Mistake> RulesKeeper::start(const config::Config& config,
                                                      GiveUp give_up) {
  auto sockets = net::local_pair();
  if (!sockets.ok()) return Mistake{sockets.error().text()};
  auto& [ours, theirs] = sockets.value();
  // Who starts finhold may have left it ignored; then no
  // child's exit code can be had, here or in the keeper.
  static_cast<void>(std::signal(SIGCHLD, SIG_DFL));  // NOLINT(cert-err33-c)
  const pid_t child = fork();
  if (child < 0) return Mistake{"fork: " + base::errno_text(errno)};
  if (child > 0) return RulesKeeper(std::move(ours), child);

  constexpr int only = STDERR_FILENO + 1;
  if (theirs.get() != only && dup3(theirs.get(), only, O_CLOEXEC) < 0) _exit(1);
  close_range(only + 1, ~0U, 0);
  int code = 1;
  try {
    code = Keeper(config, give_up, net::Descriptor(only)).run();
  } catch (const std::exception&) {
    // Out of memory; the socket says that there is no answer.
  }
  // Nothing of finhold's own is to be cleaned up here.
  _exit(code);
}

RulesKeeper::RulesKeeper(RulesKeeper&& from) noexcept
    : socket_(std::move(from.socket_)),
      child_(std::exchange(from.child_, 0)),
      asked_(from.asked_) {}

RulesKeeper::~RulesKeeper() { static_cast<void>(remove()); }

void RulesKeeper::note(const std::string& packet) {
  if (packet.size() < 2 || packet[0] != notice) return;
  notices_.push_back({static_cast<Notice::What>(packet[1]), packet.substr(2)});
}

std::vector<RulesKeeper::Notice> RulesKeeper::notices() {
  while (const auto packet = net::receive_packet(socket_.get(), std::chrono::milliseconds(0))) {
    if (packet->empty()) break;
    note(*packet);
  }
  return std::exchange(notices_, {});
}

std::optional<Mistake> RulesKeeper::load() { return ask(load_all); }

std::optional<Mistake> RulesKeeper::stop_catching() { return ask(stop_all); }

std::optional<Mistake> RulesKeeper::remove() {
  if (child_ == 0) return std::nullopt;
  net::finish_sending(socket_.get());
  auto mistake = answer(at_the_end);
  socket_.close();
  // It has answered, and ends; or hangs, and its end is left to the system.
  const pid_t child = std::exchange(child_, 0);
  while (waitpid(child, nullptr, mistake ? WNOHANG : 0) < 0 && errno == EINTR) {
  }
  return mistake;
}

std::optional<Mistake> RulesKeeper::ask(char what) {
  asked_ = static_cast<char>(asked_ + 1 == notice ? 1 : asked_ + 1);
  net::send_packet(socket_.get(), std::string{what, asked_});
  return answer(asked_);
}

std::optional<Mistake> RulesKeeper::answer(char number) {
  for (;;) {
    const auto packet = net::receive_packet(socket_.get(), longest_answer);
    if (!packet) return Mistake{"nft or ip does not come to an end"};
    if (packet->size() < 2) {
      return Mistake{
          "the process that keeps the rules was ended by somebody, and its rules with it"};
    }
    note(*packet);
    if ((*packet)[0] != number) continue;
    if ((*packet)[1] == done) return std::nullopt;
    return Mistake{packet->substr(2)};
  }
}

}  // namespace finhold::rules
