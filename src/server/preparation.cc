#include "server/preparation.h"

#include <algorithm>
#include <cerrno>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>
#include <utility>

#include "admin/http_server.h"
#include "base/log.h"
#include "config/catch_checks.h"
#include "config/interception_needs.h"
#include "net/socket.h"
#include "net/socket_owner.h"
#include "server/bind_sockets.h"
#include "server/dial_check.h"
#include "server/socket_activation.h"

namespace finhold::server {

namespace log = base::log;

namespace {

// Descriptors of a session (two legs; where one is a stream, a connection of the tunnel may be its
// own), of a worker besides (loop, poller, pipes, strangers who read why they are refused), and of
// the process (standard streams, signals, look-ups of names).
constexpr rlim_t descriptors_per_session = 2;
constexpr rlim_t descriptors_per_worker = 96;
constexpr rlim_t descriptors_of_process = 64;
constexpr rlim_t least_near_ends = 8;  // of a far end in a worker
constexpr rlim_t descriptors_of_admin = admin::HttpServer::most_connections + 8;

std::uint32_t usable_cpus() {
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  if (sched_getaffinity(0, sizeof cpus, &cpus) != 0) return 1;
  return static_cast<std::uint32_t>(std::max(CPU_COUNT(&cpus), 1));
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

// All that listens: routes, then far ends.
std::vector<Listens> listeners_of(const config::Config& config) {
  std::vector<Listens> all;
  for (const relay::Route& route : config.routes) {
    all.push_back({.route = route});
    if (route.tunnel < 0) continue;
    all.back().tunnel = config.tunnels[static_cast<std::size_t>(route.tunnel)].settings.name;
  }
  for (const config::FarConfig& far : config.fars) {
    all.push_back({.route = far.settings.route, .is_far = true});
  }
  return all;
}

// Opens those of one place, and deals them out to the workers.
bool open(const Listens& who, std::vector<PassedSocket> passed, std::size_t place,
          Listening& listening) {
  auto& workers = listening.sockets;
  const bool is_kept = !passed.empty();
  auto sockets = open_sockets(who, std::move(passed), static_cast<std::uint32_t>(workers.size()));
  if (!sockets) return false;
  listening.places[place].kept_by_systemd = is_kept;
  auto& bound = listening.places[place].bound;
  for (const net::Descriptor& socket : *sockets) {
    const auto address = address_of(who, socket.get());
    if (!address) return false;
    // Workers have the same ones.
    if (std::find(bound.begin(), bound.end(), *address) == bound.end()) bound.push_back(*address);
  }
  for (std::size_t i = 0; i < sockets->size(); ++i) {
    Sockets& its = workers[i % workers.size()][place];
    its.kept = is_kept;
    its.opened.push_back(std::move((*sockets)[i]));
  }
  return true;
}

// Those of its own; systemd's have listened all the time.
bool begin(const Listens& who, std::size_t place, const Listening& listening) {
  if (listening.places[place].kept_by_systemd) return true;
  std::vector<int> sockets;
  for (const auto& worker : listening.sockets) {
    for (const net::Descriptor& socket : worker[place].opened) sockets.push_back(socket.get());
  }
  return begin_listening(who, sockets);
}

Listening nothing_yet(const config::Config& config, std::uint32_t workers) {
  Listening listening{listen_places(config), std::vector<std::vector<Sockets>>(workers)};
  for (auto& worker : listening.sockets) worker.resize(listening.places.size());
  return listening;
}

}  // namespace

bool tell(const std::string& what, const std::optional<base::Mistake>& mistake) {
  if (mistake) log::Line(what).add("error", mistake->text).write(log::Level::error);
  return mistake.has_value();
}

bool passes_its_own_rules(const config::Config& config) {
  for (const relay::Route& route : config.routes) {
    // With config.user this has been checked when the file was read.
    if (route.intercept != relay::Intercept::redirect || !config::wants_rules(route) ||
        config.user || config::lets_finhold_pass(route, geteuid())) {
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

void warn_about_pairs(const config::Config& config, const Certificates& certificates) {
  for (const EndRemark& warning : warnings_about_pairs(config, certificates)) {
    log::Line(warning.what).add(warning.end, warning.name).write(log::Level::warning);
  }
}

std::optional<Certificates> certificates_of(const config::Config& config) {
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
  warn_about_pairs(config, certificates.value());
  return std::move(certificates.value());
}

bool can_dial_all(const config::Config& config) {
  for (const relay::Route& route : config.routes) {
    if (route.tunnel < 0 && !can_dial(route)) return false;
  }
  for (const config::TunnelConfig& tunnel : config.tunnels) {
    if (!can_dial(tunnel.settings)) return false;
  }
  for (const config::FarConfig& far : config.fars) {
    if (!can_dial(far.settings.route)) return false;
  }
  return true;
}

std::uint32_t workers_of(const config::Config& config) {
  return config.limits.workers == 0 ? usable_cpus() : config.limits.workers;
}

void limit_by_descriptors(const config::Config& config, std::uint32_t workers,
                          relay::SessionQuota& quota) {
  const std::uint32_t wanted = config.limits.sessions;
  const std::uint32_t told = quota.most();
  const auto set = [&](std::uint32_t sessions, std::uint32_t near_ends) {
    quota.set_most(sessions);
    quota.set_most_near_ends(near_ends);
  };
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return set(wanted, UINT32_MAX);
  const rlimit raised{limit.rlim_max, limit.rlim_max};
  // A sandbox may forbid it; then there are as many as there were.
  const rlim_t descriptors =
      setrlimit(RLIMIT_NOFILE, &raised) == 0 ? limit.rlim_max : limit.rlim_cur;
  rlim_t of_worker = descriptors_per_worker + config.routes.size();
  for (const config::TunnelConfig& tunnel : config.tunnels)
    of_worker += tunnel.settings.connections;
  rlim_t near_ends = 0;
  for (const config::FarConfig& far : config.fars) near_ends += far.settings.connections;
  of_worker += config.fars.size();
  const rlim_t besides = descriptors_of_process + (config.admin.listen ? descriptors_of_admin : 0) +
                         workers * of_worker;
  const rlim_t of_near_ends = workers * near_ends;
  const rlim_t needed = wanted * descriptors_per_session + besides + of_near_ends;
  if (descriptors == RLIM_INFINITY || descriptors >= needed) return set(wanted, UINT32_MAX);
  // Under a very low limit half of it goes to sessions, come what may.
  const rlim_t rest = descriptors - std::min(besides + of_near_ends, descriptors / 2);
  const auto sessions =
      static_cast<std::uint32_t>(std::max<rlim_t>(rest / descriptors_per_session, 1));
  // Near ends, strangers above all, shall not take what sessions need.
  const rlim_t left = descriptors - rest > besides ? descriptors - rest - besides : 0;
  const rlim_t each = left / std::max<rlim_t>(workers * config.fars.size(), 1);
  set(sessions, static_cast<std::uint32_t>(std::max<rlim_t>(each, least_near_ends)));
  if (sessions == told) return;
  log::Line(
      "the limit of file descriptors allows fewer sessions than limits.sessions; raise it "
      "(LimitNOFILE= in systemd, ulimit -n in a shell) if they are needed")
      .add("sessions", sessions)
      .add("wanted", wanted)
      .add("descriptors", descriptors)
      .add("needed", needed)
      .write(log::Level::info);
}

std::optional<Listening> listen_first(const config::Config& config, std::uint32_t workers) {
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

  Listening listening = nothing_yet(config, workers);
  bool tried = false;
  for (std::size_t i = 0; i < listeners.size(); ++i) {
    if (!open(listeners[i], std::move(kept[i]), i, listening) ||
        !begin(listeners[i], i, listening)) {
      return std::nullopt;
    }
    if (tried || listeners[i].route.fin.crosses == core::Crosses::none) continue;
    try_socket_owner(listening.places[i].bound.front());
    tried = true;
  }
  return listening;
}

std::optional<Listening> listen_next(const std::vector<ListenPlace>& now,
                                     const config::Config& next, std::uint32_t workers) {
  std::vector<Listens> listeners = listeners_of(next);
  Listening listening = nothing_yet(next, workers);
  const std::vector<ListenStep> steps = plan_listening(now, listening.places);
  for (std::size_t i = 0; i < listeners.size(); ++i) {
    if (const auto from = steps[i].from) {
      listening.places[i].kept_by_systemd = now[*from].kept_by_systemd;
      listening.places[i].bound = now[*from].bound;
      for (auto& worker : listening.sockets) worker[i].from = from;
      continue;
    }
    listeners[i].later = true;
    listeners[i].beside_ours = steps[i].beside_ours;
    if (!open(listeners[i], {}, i, listening)) return std::nullopt;
  }
  // Not before all are bound, which is what may fail: nobody shall connect to a socket that goes
  // again, and one beside ours has its clients at once.
  for (std::size_t i = 0; i < listeners.size(); ++i) {
    if (!steps[i].from && !begin(listeners[i], i, listening)) return std::nullopt;
  }
  for (std::size_t i = 0; i < now.size(); ++i) {
    const bool stays = std::any_of(steps.begin(), steps.end(),
                                   [i](const ListenStep& step) { return step.from == i; });
    if (stays || !now[i].kept_by_systemd) continue;
    log::Line(
        "systemd still listens where finhold does not any more: who connects there waits in vain; "
        "stop the .socket unit, and restart finhold to have the socket again")
        .add("route", now[i].name)
        .write(log::Level::warning);
  }
  return listening;
}

}  // namespace finhold::server
