#include "app/server.h"

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <optional>
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <thread>
#include <unistd.h>

#include "admin/service.h"
#include "app/admin_facts.h"
#include "app/catch_mistakes.h"
#include "app/certificates.h"
#include "app/dial_check.h"
#include "app/listening.h"
#include "app/nft_rules.h"
#include "app/notify.h"
#include "app/passed_sockets.h"
#include "app/privileges.h"
#include "app/rules_keeper.h"
#include "app/worker.h"
#include "base/check.h"
#include "base/log.h"
#include "net/loop.h"
#include "net/poller.h"
#include "net/resolver.h"
#include "net/signals.h"
#include "net/socket.h"
#include "net/socket_owner.h"

namespace finhold::app {

namespace log = base::log;

namespace {

// Descriptors of a session (two legs; where one is a stream, a connection of the tunnel may be its
// own), of a worker besides (loop, poller, pipes), and of the
// process (standard streams, signals, look-ups of names).
constexpr rlim_t descriptors_per_session = 2;
constexpr rlim_t descriptors_per_worker = 48;
constexpr rlim_t descriptors_of_process = 64;
constexpr rlim_t descriptors_of_admin = admin::HttpServer::most_connections + 8;

std::uint32_t usable_cpus() {
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  if (sched_getaffinity(0, sizeof cpus, &cpus) != 0) return 1;
  return static_cast<std::uint32_t>(std::max(CPU_COUNT(&cpus), 1));
}

// Asks for all the descriptors that this process may have. Returns how many sessions they are
// enough for: at most those that are wanted, and fewer with a line in the log. Accepting pauses
// there, before the dials of accepted clients would find none.
std::uint32_t sessions_within_descriptors(const Config& config, std::uint32_t workers) {
  const std::uint32_t wanted = config.limits.sessions;
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return wanted;
  limit.rlim_cur = limit.rlim_max;
  static_cast<void>(setrlimit(RLIMIT_NOFILE, &limit));
  rlim_t of_worker = descriptors_per_worker + config.routes.size();
  for (const TunnelConfig& tunnel : config.tunnels) of_worker += tunnel.settings.connections;
  for (const FarConfig& far : config.fars) of_worker += far.settings.connections + 1;
  const rlim_t besides = descriptors_of_process + (config.admin.listen ? descriptors_of_admin : 0) +
                         workers * of_worker;
  const rlim_t needed = wanted * descriptors_per_session + besides;
  if (limit.rlim_max == RLIM_INFINITY || limit.rlim_max >= needed) return wanted;
  // Under a very low limit half of it goes to sessions, come what may.
  const rlim_t rest = limit.rlim_max - std::min(besides, limit.rlim_max / 2);
  const auto sessions =
      static_cast<std::uint32_t>(std::max<rlim_t>(rest / descriptors_per_session, 1));
  log::Line(
      "the limit of file descriptors allows fewer sessions than limits.sessions; raise it "
      "(LimitNOFILE= in systemd, ulimit -Hn in a shell) if they are needed")
      .add("sessions", sessions)
      .add("wanted", wanted)
      .add("descriptors", limit.rlim_max)
      .add("needed", needed)
      .write(log::Level::info);
  return sessions;
}

bool intercepts(const Config& config) {
  return std::any_of(config.routes.begin(), config.routes.end(), [](const relay::Route& route) {
    return route.intercept != relay::Intercept::none;
  });
}

// Whether a program on this machine that has closed its connection can be told from one that has
// half-closed it: a line in the log if not, for finhold goes on without.
void try_socket_owner(const base::Address& listening) {
  net::SocketOwner kernel;
  const base::Error error = kernel.try_with_listener(listening);
  if (error.code == 0) return;
  const char* cure = error.code == ENOENT
                         ? "\"modprobe tcp_diag\" loads what is missing"
                         : "it would need a netlink socket (systemd forbids that if "
                           "RestrictAddressFamilies lacks AF_NETLINK)";
  log::Line(std::string("cannot tell whether a local program has closed its connection or only "
                        "half-closed it, so its FIN is held in both cases; ") +
            cure)
      .add("error", error.text())
      .write(log::Level::info);
}

bool tell(const std::string& what, const std::optional<base::Mistake>& mistake) {
  if (mistake) log::Line(what).add("error", mistake->text).write(log::Level::error);
  return mistake.has_value();
}

using Bound = std::vector<BoundSockets>;  // for each worker

// All that listens: routes, then far ends.
std::vector<Listens> listeners_of(const Config& config) {
  std::vector<Listens> all;
  for (const relay::Route& route : config.routes) {
    all.push_back({.route = route});
    if (route.tunnel < 0) continue;
    all.back().tunnel = config.tunnels[static_cast<std::size_t>(route.tunnel)].settings.name;
  }
  for (const FarConfig& far : config.fars) {
    all.push_back({.route = far.settings.route, .is_far = true});
  }
  return all;
}

// Every listening socket of the config.
std::optional<Bound> bind_all(const Config& config, std::uint32_t workers) {
  const std::vector<Listens> listeners = listeners_of(config);
  std::vector<std::string> names;
  names.reserve(listeners.size());
  for (const Listens& who : listeners) names.push_back(who.route.name);
  auto passed = PassedSockets::from_systemd(std::move(names));
  std::vector<std::vector<PassedSocket>> kept;  // for each of them
  if (passed.ok()) {
    for (const Listens& who : listeners) {
      kept.push_back(passed.value().take(who.route.name, who.route.listen));
    }
  }
  if (tell("cannot use the sockets that systemd has passed",
           passed.ok() ? passed.value().left() : passed.error())) {
    return std::nullopt;
  }

  Bound bound(workers);
  bool tried = false;
  for (std::size_t at = 0; at < listeners.size(); ++at) {
    const Listens& who = listeners[at];
    const bool is_kept = !kept[at].empty();
    auto sockets = listen(who, std::move(kept[at]), workers);
    if (!sockets) return std::nullopt;
    if (!tried && who.route.fin.crosses != core::Crosses::none) {
      try_socket_owner(net::local_address(sockets->front().get()));
      tried = true;
    }
    for (std::size_t i = 0; i < sockets->size(); ++i) {
      BoundSockets& worker = bound[i % workers];
      if (who.is_far) {
        worker.fars.push_back({at - config.routes.size(), std::move((*sockets)[i])});
      } else {
        worker.routes.push_back({&who.route, std::move((*sockets)[i]), is_kept});
      }
    }
  }
  return bound;
}

// Nothing, and a line in the log for each mistake, if a certificate cannot be used.
std::optional<Certificates> certificates_of(const Config& config) {
  auto certificates = load_certificates(config);
  if (!certificates.ok()) {
    for (const EndRemark& mistake : certificates.error()) {
      log::Line("cannot use the certificates of a pair")
          .add(mistake.end, mistake.name)
          .add("error", mistake.what)
          .write(log::Level::error);
    }
    return std::nullopt;
  }
  for (const EndRemark& warning : warnings_about_pairs(config, certificates.value())) {
    log::Line(warning.what).add(warning.end, warning.name).write(log::Level::warning);
  }
  return std::move(certificates.value());
}

// Whether all that sessions need can be dialed with the privileges that are left.
bool can_dial_all(const Config& config) {
  for (const relay::Route& route : config.routes) {
    if (route.tunnel < 0 && !can_dial(route)) return false;
  }
  for (const TunnelConfig& tunnel : config.tunnels) {
    if (!can_dial(tunnel.settings)) return false;
  }
  for (const FarConfig& far : config.fars) {
    if (!can_dial(far.settings.route)) return false;
  }
  return true;
}

// False: connections that finhold opens would lead back to it, whoever loads the rules.
bool passes_its_own_rules(const Config& config) {
  for (const relay::Route& route : config.routes) {
    // With config.user this has been checked when the file was read.
    if (route.intercept != relay::Intercept::redirect || !wants_rules(route) || config.user ||
        lets_finhold_pass(route, geteuid())) {
      continue;
    }
    log::Line(
        "finhold would catch the connections that it opens itself: write a mark other than 0, "
        "or spare = [\"user:NAME\"] with the user that it runs as")
        .add("route", route.name)
        .add("user", geteuid())
        .write(log::Level::error);
    return false;
  }
  return true;
}

// The main thread's part while workers serve.
class Server final : private net::Wake::Listener,
                     private net::Signals::Listener,
                     private net::Watcher,
                     private net::Timer {
 public:
  Server(const Config& config, const Certificates& certificates, Bound bound,
         std::optional<net::Descriptor> admin, std::optional<RulesKeeper>& rules, net::Loop& loop,
         net::Timers& timers)
      : net::Timer(timers),
        config_(config),
        rules_(rules),
        loop_(loop),
        quota_(sessions_within_descriptors(config, static_cast<std::uint32_t>(bound.size())),
               intercepts(config)),
        wake_(loop, *this),
        signals_(loop, {SIGTERM, SIGINT, SIGHUP}, *this),
        poller_(loop),
        notify_(loop, timers, quota_, workers_) {
    if (rules_) tell("cannot watch the rules", watch(rules_->socket()));
    if (admin) {
      admin_.emplace(facts_of(config_, bound, quota_.most()), *std::move(admin), loop, poller_,
                     timers);
    }
    for (auto& sockets : bound) {
      workers_.push_back(
          std::make_unique<Worker>(config_, certificates, quota_, std::move(sockets)));
      if (admin_) workers_.back()->report_to(admin_->collector());
    }
  }

  // Workers are left only if the last of their threads could not be started.
  ~Server() {
    cut();
    join();
  }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  void run() {
    for (const auto& worker : workers_) {
      running_.fetch_add(1);
      threads_.emplace_back([this, &worker = *worker] {
        pthread_setname_np(pthread_self(), "worker");
        worker.run();
        running_.fetch_sub(1);
        wake_.call();
      });
    }
    if (admin_) FINHOLD_CHECK(admin_->start().code == 0);
    log::Line("ready").add("workers", workers_.size()).write(log::Level::info);
    notify_.ready();
    poller_.run();
    join();
    admin_.reset();
  }

 private:
  void on_signal(int number) override {
    if (number == SIGHUP) {
      log::warning("SIGHUP is ignored: this version cannot reload its configuration; restart it");
      return;
    }
    if (!stopping_) {
      stopping_ = true;
      if (admin_) admin_->stop();
      log::Line("stopping: no new connections; sessions may finish, a second signal resets them")
          .add("sessions", quota_.open())
          .add("drain", base::format_duration(config_.limits.drain))
          .write(log::Level::info);
      notify_.stopping(config_.limits.drain);
      // First of all: a diverted connection that finds no listener is refused.
      if (rules_) tell("cannot stop catching connections", rules_->stop_catching());
      for (const auto& worker : workers_) worker->drain();
      arm(loop_.now() + static_cast<net::Instant>(config_.limits.drain.count()));
    } else {
      log::info("stopping at once: the sessions that are left are reset");
      cut();
    }
  }

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

  std::optional<base::Mistake> watch(int socket) {
    const base::Error error = poller_.add(socket, EPOLLRDHUP | EPOLLET, *this);
    if (error.code == 0) return std::nullopt;
    return base::Mistake{error.text()};
  }

  // While the loop runs, the process that keeps the rules does not end by itself. No other
  // one can be started: finhold has given up what that would need.
  void on_ready(std::uint32_t) override {
    log::Line(
        "the process that keeps the rules was ended by somebody: connections stay diverted, also "
        "when finhold ends, until it is started again or \"finhold rules --config FILE --remove | "
        "sh\" is run")
        .write(log::Level::error);
  }

  void on_wake() override {
    if (running_.load() == 0) {
      disarm();
      poller_.stop();
    }
  }

  const Config& config_;
  std::optional<RulesKeeper>& rules_;
  net::Loop& loop_;
  relay::SessionQuota quota_;
  net::Wake wake_;
  net::Signals signals_;
  net::Poller poller_;
  std::optional<admin::Service> admin_;  // outlives the workers' threads
  std::vector<std::unique_ptr<Worker>> workers_;
  Notify notify_;
  std::vector<std::thread> threads_;
  std::atomic<std::uint32_t> running_{0};
  bool stopping_ = false;
};

}  // namespace

int serve(const Config& config, bool apply_rules) {
  static_cast<void>(std::signal(
      SIGPIPE, SIG_IGN));  // a closed standard error; sockets are written with MSG_NOSIGNAL
  log::configure(config.log.level, config.log.format);
  if (!passes_its_own_rules(config)) return 1;

  // All that needs privileges, while there is one thread: the others then have none from the start.
  std::optional<RulesKeeper> rules;
  if (apply_rules) {
    auto keeper = RulesKeeper::start(config);
    if (!keeper.ok()) return tell("cannot load the rules", keeper.error()) ? 1 : 0;
    rules.emplace(std::move(keeper.value()));
  }
  const auto certificates = certificates_of(config);
  if (!certificates) return 1;
  auto bound = bind_all(config, config.limits.workers == 0 ? usable_cpus() : config.limits.workers);
  if (!bound) return 1;
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

  log::start();
  {
    net::Loop loop;
    net::Timers timers(loop);
    Server server(config, *certificates, *std::move(bound), std::move(admin), rules, loop, timers);
    server.run();
    // The rules had to stay for the sessions.
    if (rules && !tell("cannot remove the rules", rules->remove())) log::info("rules removed");
    if (net::Resolver::running() > 0) {
      // Every session is over; only a name that nobody waits for is still looked up, perhaps for a
      // long time, and no loop can be destroyed before.
      log::info("stopped");
      log::stop();
      std::_Exit(0);
    }
  }
  log::info("stopped");
  log::stop();
  return 0;
}

}  // namespace finhold::app
