#include "simulation/runs.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "base/side.h"
#include "core/ending.h"
#include "net/listener.h"
#include "net/loop.h"
#include "net/poller.h"
#include "net/socket.h"
#include "net/timers.h"
#include "relay/keepalive_options.h"
#include "relay/session_quota.h"
#include "relay/session_table.h"
#include "simulation/system_calls.h"
#include "simulation/world.h"

namespace finhold::simulation {
namespace {

using base::Side;

constexpr std::size_t client = 0;
constexpr std::size_t server = 1;

// Two programs, and the world that they are in.
class Programs : public World::Owner {
 public:
  Programs(const Scenario& scenario, Result& result, bool traced)
      : world_(scenario.seed, *this), result_(result), scenario_(scenario) {
    if (traced) world_.trace_to(&result.trace);
  }
  Programs(const Programs&) = delete;
  Programs& operator=(const Programs&) = delete;

  [[nodiscard]] bool are_over() const {
    return applications_[client].is_over() && applications_[server].is_over();
  }

 protected:
  ~Programs() = default;

  void start_client(std::uint32_t to) {
    Connection& connection = world_.connection(client_host_, to);
    applications_[client].start(connection.socket(0));
    connection.socket(0).connect();
  }

  void note_seen() {
    for (const std::size_t each : {client, server}) {
      if (applications_[each].was_started()) applications_[each].give_up();
      result_.seen[each] = applications_[each].seen();
    }
  }

  World world_;
  Result& result_;
  const Scenario& scenario_;
  std::uint32_t client_host_ = client_host;
  std::array<Application, 2> applications_{
      Application(world_.agenda(), scenario_.client, client, server),
      Application(world_.agenda(), scenario_.server, server, client)};
};

class Directly final : public Programs, private Actor {
 public:
  Directly(const Scenario& scenario, Result& result, bool traced, std::uint64_t faster, Time late)
      : Programs(scenario, result, traced), late_(late) {
    PathOptions path;
    path.delay = (scenario.client_path.delay + scenario.server_path.delay) / faster;
    world_.set_path(client_host, server_host, path, scenario.answers,
                    {scenario.buffers[0], scenario.buffers[3]});
  }

  void run() {
    start_client(server_host);
    Agenda& agenda = world_.agenda();
    while (!agenda.empty() && !agenda.is_late() && !are_over()) agenda.run_next();
    note_seen();
  }

 private:
  void on_accepted(Connection& connection) override {
    accepted_ = &connection;
    world_.agenda().plan(world_.now() + late_, *this, 0);
  }
  void on_event(std::uint64_t) override { applications_[server].start(accepted_->socket(1)); }

  Time late_;
  Connection* accepted_ = nullptr;
};

class Through final : public Programs,
                      private net::Listener::Owner,
                      private relay::SessionTable::Owner,
                      private net::TurnEnd {
 public:
  Through(const Scenario& scenario, Result& result, bool traced)
      : Programs(scenario, result, traced) {
    if (scenario.client_is_local) client_host_ = proxy_host;
    server_host_ = scenario.server_is_local ? proxy_host : server_host;
    world_.pace.lag = scenario.lag;
    world_.set_path(client_host_, proxy_host, scenario.client_path, Server::listens,
                    {scenario.buffers[0], scenario.buffers[1]});
    // Where both are on one machine, the last one that was set is meant by whoever connects last.
    server_path_ = scenario.server_path;
  }

  void run() {
    // libuv's own descriptors are real ones.
    net::Loop loop;
    enter(&world_);
    uv_update_time(loop.raw());
    go(loop);
    if (open_descriptors() != 0 && result_.broken.empty()) {
      result_.broken = std::to_string(open_descriptors()) + " descriptors were left open";
    }
    enter(nullptr);
    note_seen();
    for (const auto& connection : world_.connections()) {
      const bool is_client = connection == world_.connections().front();
      const std::size_t which = is_client ? client : server;
      const Socket& leg = connection->socket(is_client ? 1 : 0);
      result_.taken[which] = std::min(leg.received(), result_.seen[which].sent);
      result_.ended[which] = leg.has_ended();
    }
  }

 private:
  // More than any run needs; less than a loop that never waits.
  static constexpr std::uint64_t most_waits = 200'000;

  void go(net::Loop& loop) {
    net::Poller poller(loop);
    net::Timers timers(loop);
    relay::SessionQuota quota(100, false);
    relay::Route route = scenario_.route;
    const std::string text = "10.0.0." + std::to_string(server_host_) + ":7000";
    route.server = base::HostPort::parse(text).value();
    relay::TableOptions options;
    options.splicing = scenario_.splicing;
    relay::SessionTable table(loop, poller, timers, quota, *this, options);
    poller_ = &poller;
    table_ = &table;
    route_ = &route;
    net::Descriptor listening(listening_descriptor());
    listening_ = listening.get();
    static_cast<void>(
        net::set_leg_options(listening_, relay::keepalive_options(route, Side::client)));
    net::Listener listener(poller, timers, loop, std::move(listening), *this);
    static_cast<void>(listener.start());
    poller.add_turn_end(*this);
    start_client(proxy_host);
    world_.set_path(proxy_host, server_host_, server_path_, scenario_.answers,
                    {scenario_.buffers[2], scenario_.buffers[3]});
    world_.fails_at = scenario_.fault.at;
    world_.fails_with = scenario_.fault.which;
    poller.run();
    world_.fails_at = 0;
    poller.remove_turn_end(*this);
    if (!table.empty()) result_.over_at = world_.now();
    note_ending(table);
    listening_ = -1;
  }

  void note_ending(const relay::SessionTable& table) {
    const auto report = table.report();
    for (const auto& [name, counts] : report.routes) {
      for (std::size_t i = 0; i < counts.endings.size(); ++i) {
        if (counts.endings[i] != 0) result_.ending = core::name(static_cast<core::Ending>(i));
      }
    }
    const bool none_left =
        applications_[client].is_over() &&
        (applications_[server].is_over() || !applications_[server].was_started());
    if (none_left && !table.empty() && result_.broken.empty()) {
      result_.broken = "the session is still there, hours after both programs have gone";
    }
  }

  // World::Owner
  void on_accepted(Connection& connection) override {
    if (connection.address(1).host == proxy_host && connection.address(0).host == client_host_ &&
        !accepted_) {
      accepted_ = true;
      arrive(listening_, connection.socket(1));
    } else {
      applications_[server].start(connection.socket(1));
    }
  }
  // R3: what it may be let go for.
  void on_early_fin(const Connection& connection, int to) override {
    const bool to_client = &connection == world_.connections().front().get();
    if (to != (to_client ? 0 : 1)) return;  // it is the program's
    const Side side = to_client ? Side::client : Side::server;
    const core::FinSettings& fin = scenario_.route.fin;
    if (!core::crosses(fin.crosses, side) || fin.hold_at_most) return;
    if (applications_[to_client ? server : client].is_over()) return;
    if (scenario_.fault.at != 0) return;  // the leg may have failed for finhold alone
    // A leg that has failed has nobody behind it, as far as finhold can know.
    const auto& connections = world_.connections();
    const Socket& source =
        to_client ? connections.back()->socket(0) : connections.front()->socket(1);
    const Time quiet = world_.now() - source.heard_at();
    const auto vanished_after =
        static_cast<Time>(scenario_.route.keepalive.vanished_after().count());
    if (source.state() == Socket::State::closed || quiet >= vanished_after * ms) return;
    const base::Limit& when_quiet = fin.release_when_quiet[base::index(base::flow_into(side))];
    const std::string what =
        std::string("an early FIN crossed to the ") + (to_client ? "client" : "server");
    if (!when_quiet) result_.broken = what + ", whose source was still there (R3)";
    // Who cannot send waits for room, and for no end.
    const Socket& leg = connection.socket(1 - to);
    const bool reads_at_once = scenario_.lag < s;
    if (when_quiet && when_quiet->count() > 0 && leg.unread() > 0 && reads_at_once) {
      result_.broken = what + ", while the other way waited for its reader (R3c)";
    }
  }

  // net::Listener::Owner
  bool may_accept() override { return true; }
  void on_accepted(net::Descriptor fd, const base::Address& address) override {
    opened_ = true;
    table_->open(*route_, std::move(fd), address);
  }
  void on_paused(const base::Error&) override {}
  void on_recovered() override {}

  // relay::SessionTable::Owner
  void on_empty() override { result_.over_at = world_.now(); }

  // net::TurnEnd
  bool turn_end() override {
    // The listener may have been refused a descriptor, and tries again.
    const bool waits = accepted_ && !opened_;
    const bool nothing_left = are_over() || (world_.agenda().empty() && !waits);
    if ((nothing_left && table_->empty()) || world_.agenda().is_late()) poller_->stop();
    if (simulation::waits() > most_waits) {
      result_.broken = "finhold's loop spins";
      poller_->stop();
    }
    return false;
  }

  std::uint32_t server_host_ = server_host;
  PathOptions server_path_;
  net::Poller* poller_ = nullptr;
  relay::SessionTable* table_ = nullptr;
  const relay::Route* route_ = nullptr;
  int listening_ = -1;
  bool accepted_ = false;
  bool opened_ = false;
};

}  // namespace

Result run_through_finhold(const Scenario& scenario, bool traced) {
  Result result;
  Through run(scenario, result, traced);
  run.run();
  return result;
}

Result run_directly(const Scenario& scenario, std::uint64_t faster, Time late, bool traced) {
  Result result;
  Directly run(scenario, result, traced, faster, late);
  run.run();
  return result;
}

}  // namespace finhold::simulation
