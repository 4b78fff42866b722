#include "app/server.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <optional>
#include <sched.h>
#include <sys/resource.h>
#include <thread>

#include "app/dial_check.h"
#include "app/worker.h"
#include "base/log.h"
#include "net/loop.h"
#include "net/resolver.h"
#include "net/signals.h"
#include "net/socket.h"
#include "net/socket_owner.h"
#include "relay/keepalive_options.h"

namespace finhold::app {

namespace log = base::log;

namespace {

// Descriptors of a session (two legs), of a worker besides (loop, poller, pipes), and of the
// process (standard streams, signals, look-ups of names).
constexpr rlim_t descriptors_per_session = 2;
constexpr rlim_t descriptors_per_worker = 48;
constexpr rlim_t descriptors_of_process = 64;

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
  const rlim_t besides =
      descriptors_of_process + workers * (descriptors_per_worker + config.routes.size());
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

// What to do about an address that cannot be listened on.
std::string advice(const base::Error& error) {
  switch (error.code) {
    case EADDRINUSE:
      return "another process listens there: \"ss -ltnp\" shows which; stop it or choose another "
             "port";
    case EPERM:
      return "intercept = \"tproxy\" needs CAP_NET_RAW or CAP_NET_ADMIN (AmbientCapabilities= in "
             "systemd)";
    case EACCES:
      return "ports below 1024 need CAP_NET_BIND_SERVICE (AmbientCapabilities= in systemd) or a "
             "lower net.ipv4.ip_unprivileged_port_start";
    case EADDRNOTAVAIL:
      return "this machine does not have that address: \"ip address\" shows those it has";
    case EAFNOSUPPORT:
      return "this machine has no IPv6; listen on an IPv4 address";
    case EMFILE:
      return "the limit of open files is too low: raise LimitNOFILE= in systemd or \"ulimit -n\"";
    default:
      return "";
  }
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

// One socket a worker for a route; nothing, and a line in the log, if the address cannot be had.
std::optional<std::vector<net::Descriptor>> listen(const relay::Route& route,
                                                   std::uint32_t workers) {
  std::vector<net::Descriptor> sockets;
  base::Address address = route.listen;
  for (std::uint32_t i = 0; i < workers; ++i) {
    auto socket =
        net::listen_tcp(address, i == 0, relay::keepalive_options(route, base::Side::client),
                        route.intercept == relay::Intercept::tproxy);
    if (!socket.ok()) {
      log::Line("cannot listen: " + advice(socket.error()))
          .add("route", route.name)
          .add("address", address.text())
          .add("error", socket.error().text())
          .write(log::Level::error);
      return std::nullopt;
    }
    // Port 0: the first worker's socket has got the port that all of them use.
    if (i == 0) address = net::local_address(socket.value().get());
    sockets.push_back(std::move(socket.value()));
  }
  log::Line line("listening");
  line.add("route", route.name).add("address", address.text());
  if (route.intercept == relay::Intercept::none) {
    line.add("server", route.server.text());
  } else {
    line.add("intercept", route.intercept == relay::Intercept::tproxy ? "tproxy" : "redirect");
  }
  line.write(log::Level::info);
  return sockets;
}

// The main thread's part while workers serve.
class Server final : private net::Wake::Listener,
                     private net::Signals::Listener,
                     private net::Timer {
 public:
  Server(const Config& config, net::Loop& loop, net::Timers& timers)
      : net::Timer(timers),
        config_(config),
        loop_(loop),
        worker_count_(config.limits.workers == 0 ? usable_cpus() : config.limits.workers),
        quota_(sessions_within_descriptors(config, worker_count_)),
        wake_(loop, *this),
        signals_(loop, {SIGTERM, SIGINT, SIGHUP}, *this) {}

  // Workers are left only if the last of their threads could not be started.
  ~Server() {
    cut();
    join();
  }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // False: it could not start.
  bool run() {
    const std::uint32_t count = worker_count_;
    std::vector<std::vector<BoundRoute>> bound(count);
    bool tried = false;
    for (const relay::Route& route : config_.routes) {
      auto sockets = listen(route, count);
      if (!sockets) return false;
      if (!tried && route.fin.crosses != core::Crosses::none) {
        try_socket_owner(net::local_address(sockets->front().get()));
        tried = true;
      }
      for (std::uint32_t i = 0; i < count; ++i) {
        bound[i].push_back({&route, std::move((*sockets)[i])});
      }
    }
    for (const relay::Route& route : config_.routes) {
      if (!can_dial(route)) return false;
    }
    for (auto& routes : bound) {
      workers_.push_back(std::make_unique<Worker>(config_, quota_, std::move(routes)));
    }
    for (const auto& worker : workers_) {
      running_.fetch_add(1);
      threads_.emplace_back([this, &worker = *worker] {
        worker.run();
        running_.fetch_sub(1);
        wake_.call();
      });
    }
    log::Line("ready").add("workers", count).write(log::Level::info);
    loop_.run();
    join();
    return true;
  }

 private:
  void on_signal(int number) override {
    if (number == SIGHUP) {
      log::warning("SIGHUP is ignored: this version cannot reload its configuration; restart it");
      return;
    }
    if (!stopping_) {
      stopping_ = true;
      log::Line("stopping: no new connections; sessions may finish, a second signal resets them")
          .add("sessions", quota_.open())
          .add("drain", base::format_duration(config_.limits.drain))
          .write(log::Level::info);
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

  void on_wake() override {
    if (running_.load() == 0) {
      disarm();
      loop_.stop();
    }
  }

  const Config& config_;
  net::Loop& loop_;
  std::uint32_t worker_count_;
  relay::SessionQuota quota_;
  net::Wake wake_;
  net::Signals signals_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<std::thread> threads_;
  std::atomic<std::uint32_t> running_{0};
  bool stopping_ = false;
};

}  // namespace

int serve(const Config& config) {
  static_cast<void>(std::signal(
      SIGPIPE, SIG_IGN));  // a closed standard error; sockets are written with MSG_NOSIGNAL
  log::start(config.log.level, config.log.format);
  bool served = false;
  {
    net::Loop loop;
    net::Timers timers(loop);
    Server server(config, loop, timers);
    served = server.run();
    if (net::Resolver::running() > 0) {
      // Every session is over; only a name that nobody waits for is still looked up, perhaps for a
      // long time, and no loop can be destroyed before.
      log::info("stopped");
      log::stop();
      std::_Exit(0);
    }
  }
  if (served) log::info("stopped");
  log::stop();
  return served ? 0 : 1;
}

}  // namespace finhold::app
