#include "server/server.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <exception>
#include <initializer_list>
#include <memory>
#include <optional>
#include <pthread.h>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "admin/service.h"
#include "base/duration.h"
#include "base/log.h"
#include "config/messages.h"
#include "net/look_up_threads.h"
#include "net/loop.h"
#include "net/poller.h"
#include "net/signals.h"
#include "rules/keeper.h"
#include "server/admin_facts.h"
#include "server/bind_sockets.h"
#include "server/generation.h"
#include "server/preparation.h"
#include "server/privileges.h"
#include "server/reload.h"
#include "server/sd_notify.h"
#include "server/worker.h"

namespace finhold::server {

namespace log = base::log;

namespace {

constexpr std::initializer_list<int> our_signals = {SIGTERM, SIGINT, SIGHUP};

bool intercepts(const config::Config& config) {
  return std::any_of(config.routes.begin(), config.routes.end(), [](const relay::Route& route) {
    return route.intercept != relay::Intercept::none;
  });
}

// The main thread's part while workers serve.
class Server final : private net::Wake::Listener,
                     private net::Signals::Listener,
                     private net::Watcher,
                     private net::Timer {
 public:
  Server(GenerationRef generation, Listening listening, std::optional<net::Descriptor> admin,
         ReadConfig read_config, std::optional<rules::RulesKeeper>& rules, net::Loop& loop,
         net::Timers& timers)
      : net::Timer(timers),
        generation_(std::move(generation)),
        places_(std::move(listening.places)),
        read_config_(std::move(read_config)),
        rules_(rules),
        loop_(loop),
        quota_(generation_->config.limits.sessions, intercepts(generation_->config)),
        wake_(loop, *this),
        poller_(loop),
        signals_(poller_, our_signals, *this),
        notify_(loop, timers, quota_, workers_) {
    limit_by_descriptors(generation_->config, static_cast<std::uint32_t>(listening.sockets.size()),
                         quota_);
    if (rules_) refuse_start(poller_.add(rules_->socket(), EPOLLIN | EPOLLRDHUP | EPOLLET, *this));
    if (admin) admin_.emplace(facts(), *std::move(admin), loop, poller_, timers);
    for (auto& sockets : listening.sockets) {
      workers_.push_back(
          std::make_unique<Worker>(WorkOrder{generation_, std::move(sockets)}, quota_, wake_));
      if (admin_) workers_.back()->report_to(admin_->collector());
    }
    if (admin_) refuse_start(admin_->start());
    loop_.prepare();
  }

  // Workers are left only if the last of their threads could not be started.
  ~Server() {
    cut();
    join();
  }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Throws std::system_error if a thread cannot be had.
  void start() {
    net::LookUpThreads::begin();
    for (const auto& worker : workers_) {
      running_.fetch_add(1);
      threads_.emplace_back([this, &worker = *worker] {
        pthread_setname_np(pthread_self(), "worker");
        worker.run();
        running_.fetch_sub(1);
        wake_.call();
      });
    }
  }

  // From here on nobody catches what is thrown for want of memory: server/fatal_error.h tells it.
  void run() noexcept {
    log::Line("ready").add("workers", workers_.size()).write(log::Level::info);
    notify_.ready();
    poller_.run();
    join();
    admin_.reset();
  }

  // There is nothing to be removed any more.
  [[nodiscard]] bool has_lost_rules() const { return lost_rules_; }

 private:
  void on_signal(int number) override {
    if (number == SIGHUP) {
      // In another turn: however many there are, a signal to stop is heard.
      reload_wanted_ = true;
      wake_.call();
      return;
    }
    if (!stopping_) {
      stop();
    } else {
      log::info("stopping at once: the sessions that are left are reset");
      cut();
    }
  }

  void stop() {
    stopping_ = true;
    if (admin_) admin_->stop();
    log::Line("stopping: no new connections; sessions may finish, a second signal resets them")
        .add("sessions", quota_.open())
        .add("drain", base::format_duration(drain()))
        .write(log::Level::info);
    notify_.stopping(drain());
    // First of all: a diverted connection that finds no listener is refused.
    if (rules_ && !lost_rules_) {
      tell("cannot stop catching connections", rules_->stop_catching());
    }
    for (const auto& worker : workers_) worker->drain();
    arm(loop_.now() + net::instant(drain()));
  }

  void reload() {
    reload_wanted_ = false;
    notify_.reloading();
    auto reload = prepare_reload({read_config_, *generation_, places_,
                                  static_cast<std::uint32_t>(workers_.size()), rules_.has_value()});
    reload_failed_ = !reload || !reserve(reload->listening);
    if (reload_failed_) {
      tell_admin();
      log::error("nothing was reloaded: finhold goes on with the configuration that it has");
      notify_.reloaded();
      return;
    }
    const config::Config& config = reload->generation->config;
    change_ = difference(*generation_, *reload->generation);
    log::set_level(config.log.level);
    limit_by_descriptors(config, static_cast<std::uint32_t>(workers_.size()), quota_);
    if (intercepts(config)) quota_.note_interception();
    generation_ = reload->generation;
    configured_ = std::chrono::system_clock::now();
    places_ = std::move(reload->listening.places);
    reloading_ = true;
    for (std::size_t i = 0; i < workers_.size(); ++i) {
      workers_[i]->change({generation_, std::move(reload->listening.sockets[i])});
    }
  }

  // The last of what can fail. What was reserved goes when the sockets are closed.
  bool reserve(const Listening& listening) {
    for (std::size_t i = 0; i < workers_.size(); ++i) {
      const base::Error error = workers_[i]->reserve(listening.sockets[i]);
      if (error.code == 0) continue;
      log::Line("cannot reload: " + config::cure_of_want(error.code))
          .add("error", error.text())
          .write(log::Level::error);
      return false;
    }
    return true;
  }

  void note_reloaded() {
    if (!reloading_ || std::any_of(workers_.begin(), workers_.end(),
                                   [](const auto& worker) { return worker->is_changing(); })) {
      return;
    }
    reloading_ = false;
    tell_admin();
    log::Line("reloaded")
        .add("added", change_.added)
        .add("changed", change_.changed)
        .add("removed", change_.removed)
        .write(log::Level::info);
    notify_.reloaded();
  }

  [[nodiscard]] admin::Facts facts() const {
    admin::Facts facts = facts_of(generation_->config, places_);
    facts.started = started_;
    facts.up_since = up_since_;
    facts.configured = configured_;
    facts.reload_failed = reload_failed_;
    facts.most_sessions = quota_.most();
    if (rules_) facts.rules = admin::RulesFacts{rules_missing_, rules_restored_};
    return facts;
  }

  void tell_admin() {
    if (admin_) admin_->tell(facts());
  }

  [[nodiscard]] base::Milliseconds drain() const { return generation_->config.limits.drain; }

  void on_time() override {
    log::info("limits.drain has passed: the sessions that are left are reset");
    cut();
  }

  void cut() {
    for (const auto& worker : workers_) worker->cut();
  }

  void join() {
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }

  static void refuse_start(const base::Error& error) {
    if (error.code == 0) return;
    throw std::system_error(error.code, std::generic_category(), error.operation);
  }

  void on_ready(std::uint32_t events) override {
    for (const rules::RulesKeeper::Notice& notice : rules_->notices()) note(notice);
    if ((events & EPOLLRDHUP) != 0) lose_rules();
  }

  void note(const rules::RulesKeeper::Notice& notice) {
    rules_missing_ = notice.what == rules::RulesKeeper::Notice::What::removed;
    if (!rules_missing_) {
      ++rules_restored_;
      log::info("the policy routing of --apply-rules is there again");
    } else if (notice.why.empty()) {
      log::Line(
          "somebody has removed the policy routing of --apply-rules: it is added again; stop who "
          "does that (systemd-networkd: ManageForeignRoutingPolicyRules=no, "
          "ManageForeignRoutes=no)")
          .write(log::Level::warning);
    } else {
      log::Line(
          "cannot add the policy routing of --apply-rules again; that is tried once more soon")
          .add("error", notice.why)
          .write(log::Level::error);
    }
    tell_admin();
  }

  // While the loop runs, the process that keeps the rules does not end by itself. No other one can
  // be started, since finhold has given up what that would need; but who has started finhold can
  // start it again.
  void lose_rules() {
    if (lost_rules_) return;
    lost_rules_ = rules_missing_ = true;
    tell_admin();
    log::Line(
        "the process that keeps the rules was ended by somebody, and its rules with it: nothing is "
        "diverted any more, so finhold stops, to be started again")
        .write(log::Level::error);
    if (!stopping_) stop();
  }

  void on_wake() override {
    if (running_.load() == 0) {
      disarm();
      poller_.stop();
    } else if (!stopping_) {
      note_reloaded();
      if (reload_wanted_ && !reloading_) reload();  // not while workers still change
    }
  }

  GenerationRef generation_;         // that workers have, or are about to have
  std::vector<ListenPlace> places_;  // of the generation
  const ReadConfig read_config_;
  const std::chrono::system_clock::time_point started_ = std::chrono::system_clock::now();
  const std::chrono::steady_clock::time_point up_since_ = std::chrono::steady_clock::now();
  std::chrono::system_clock::time_point configured_ = started_;
  bool reload_failed_ = false;
  std::optional<rules::RulesKeeper>& rules_;
  net::Loop& loop_;
  relay::SessionQuota quota_;
  net::Wake wake_;
  net::Poller poller_;
  net::Signals signals_;
  std::optional<admin::Service> admin_;  // outlives the workers' threads
  std::vector<std::unique_ptr<Worker>> workers_;
  Notify notify_;
  std::vector<std::thread> threads_;
  std::atomic<std::uint32_t> running_{0};
  Difference change_;  // of the reload that workers carry out now
  bool reloading_ = false;
  bool reload_wanted_ = false;
  bool stopping_ = false;
  std::uint64_t rules_restored_ = 0;
  bool rules_missing_ = false;
  bool lost_rules_ = false;
};

void tell_no_start(const std::exception& failure) {
  const auto* refused = dynamic_cast<const std::system_error*>(&failure);
  const std::string cure = refused != nullptr ? config::cure_of_want(refused->code().value()) : "";
  log::Line("cannot start" + (cure.empty() ? cure : ": " + cure))
      .add("error", failure.what())
      .write(log::Level::error);
}

}  // namespace

int serve(const config::Config& config, bool apply_rules, ReadConfig read_config) {
  static_cast<void>(std::signal(
      SIGPIPE, SIG_IGN));  // a closed standard error; sockets are written with MSG_NOSIGNAL
  // Others have a use for them; here they mean nothing, and would be the end.
  for (const int each : {SIGUSR1, SIGUSR2}) {
    static_cast<void>(std::signal(each, SIG_IGN));
  }
  hide_memory(config);  // before there is anything in it
  // One that comes now is a wish to reload as soon as that is possible.
  net::hold_signals({SIGHUP});
  log::configure(config.log.level, config.log.format);
  if (!passes_its_own_rules(config)) return 1;

  // All that needs privileges, while there is one thread: the others then have none from the start.
  std::optional<rules::RulesKeeper> rules;
  if (apply_rules) {
    if (!may_change_network()) {
      tell("cannot load the rules",
           base::Mistake{"--apply-rules needs CAP_NET_ADMIN (root, or AmbientCapabilities= in "
                         "systemd); or load what "
                         "\"finhold rules\" prints beforehand, and leave --apply-rules away"});
      return 1;
    }
    auto keeper = rules::RulesKeeper::start(config, &keep_net_admin_only);
    if (!keeper.ok()) return tell("cannot load the rules", keeper.error()) ? 1 : 0;
    rules.emplace(std::move(keeper.value()));
  }
  auto certificates = certificates_of(config);
  if (!certificates) return 1;
  auto listening = listen_first(config, workers_of(config));
  if (!listening) return 1;
  std::optional<net::Descriptor> admin;
  if (config.admin.listen) {
    admin = listen_admin(*config.admin.listen);
    if (!admin) return 1;
  }
  if (tell("cannot give up privileges", drop_privileges(config))) return 1;
  if (!can_dial_all(config)) return 1;
  // Last: nothing else can fail now, and what is diverted already waits to be accepted.
  if (rules) {
    if (tell("cannot load the rules", rules->load())) return 1;
    log::info("rules loaded: connections are diverted");
  }

  net::hold_signals(our_signals);
  int code = 0;
  try {
    net::Loop loop;
    net::Timers timers(loop);
    Server server(std::make_shared<const Generation>(Generation{config, *std::move(certificates)}),
                  *std::move(listening), std::move(admin), std::move(read_config), rules, loop,
                  timers);
    log::start();  // until then lines are written at once: the reason why there is no start is the
                   // last
    server.start();
    server.run();
    code = server.has_lost_rules() ? 1 : 0;
    // The rules had to stay for the sessions.
    if (rules && code == 0 && !tell("cannot remove the rules", rules->remove()))
      log::info("rules removed");
  } catch (const std::exception& failure) {
    tell_no_start(failure);
    log::stop();
    return 1;
  }
  const bool ended = net::LookUpThreads::end();
  log::info("stopped");
  log::stop();
  // Every session is over; only a name that nobody waits for is still looked up, perhaps for a long
  // time, and that thread must not find a process half gone.
  if (!ended) std::_Exit(code);
  return code;
}

}  // namespace finhold::server
