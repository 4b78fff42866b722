#include "tunnel/connection_table.h"

#include <algorithm>
#include <cstdint>
#include <unordered_map>
#include <utility>

namespace finhold::tunnel {

ConnectionTable::ConnectionTable(net::Loop& loop, net::Poller& poller, net::Timers& timers,
                                 std::size_t window, Owner& owner)
    : loop_(loop),
      poller_(poller),
      timers_(timers),
      owner_(owner),
      pool_(window),
      trimmer_(loop, timers, pool_) {}

ConnectionTable::~ConnectionTable() { poller_.remove_turn_end(*this); }

void ConnectionTable::begin() { poller_.add_turn_end(*this); }

Connection& ConnectionTable::start(net::Descriptor socket, bool registered,
                                   const base::Address& other_end, const ConnectionOptions& options,
                                   Connection::Owner& owner) {
  if (!wire_) wire_ = std::make_unique_for_overwrite<std::byte[]>(wire_size);
  if (options.tls != nullptr && !plain_) {
    plain_ = std::make_unique_for_overwrite<std::byte[]>(most_sent);
  }
  connections_.push_back(std::unique_ptr<Connection>(
      new Connection(*this, std::move(socket), other_end, options, owner)));
  Connection& connection = *connections_.back();
  connection.slot_ = connections_.size() - 1;
  connection.begin(registered);
  return connection;
}

void ConnectionTable::cut_all() {
  for (const auto& connection : connections_) connection->cut();
}

void ConnectionTable::cut_unused() {
  for (const auto& connection : connections_) {
    const bool is_open = connection->state_ == Connection::State::open;
    if (is_open && connection->is_unused()) connection->cut();
  }
}

void ConnectionTable::queue(Connection& connection) {
  if (connection.queued_) return;
  connection.queued_ = true;
  queue_.push_back(&connection);
}

void ConnectionTable::defer(Connection& connection) {
  if (connection.queued_) return;
  connection.queued_ = true;
  deferred_.push_back(&connection);
}

// Of those that are known and say goodbye, too many: the one that has waited longest, of the source
// that has the most. So nobody's last bytes are lost for others who come and go.
Connection& ConnectionTable::that_waits_no_longer(Connection& one_of_them) const {
  std::unordered_map<std::uint64_t, std::size_t> goodbyes;
  Connection* last = &one_of_them;
  const auto waits = [](const Connection& one) {
    return one.is_known_ &&
           (one.state_ == Connection::State::leaving || one.state_ == Connection::State::goodbye);
  };
  for (const auto& each : connections_) {
    if (waits(*each)) ++goodbyes[each->source_];
  }
  std::size_t most = 0;
  for (const auto& each : connections_) {
    if (!waits(*each)) continue;
    const std::size_t its = goodbyes[each->source_];
    if (its < most || (its == most && last->parted_at_ <= each->parted_at_)) continue;
    most = its;
    last = each.get();
  }
  return *last;
}

// Where there is not time for all: a source (an address) that has a thousand connections is not a
// thousand times in front of one that has one. The first of each, then the second of each, in the
// order in which they stand.
void ConnectionTable::alternate_sources() {
  places_.clear();
  for (Connection* const each : running_) {
    places_.push_back({each->source_, places_.size(), each});
  }
  const auto by_order = [](const Place& one, const Place& other) {
    return one.order != other.order ? one.order < other.order : one.before < other.before;
  };
  std::sort(places_.begin(), places_.end(), by_order);
  std::uint64_t source = 0;
  std::uint64_t rank = 0;
  for (Place& place : places_) {
    rank = place.order == source ? rank + 1 : 0;
    source = std::exchange(place.order, rank);
  }
  std::sort(places_.begin(), places_.end(), by_order);
  for (std::size_t i = 0; i < places_.size(); ++i) running_[i] = places_[i].connection;
}

// Each connection has one turn. What its events make others do waits for the next, so that all
// share the time. Resets and handshakes before: what they make goes out in the same turn.
bool ConnectionTable::turn_end() {
  told_ = !resets_.empty();
  resets_.tell_some();
  handshakes_.work();
  ends_turn_ = true;
  running_.swap(deferred_);
  running_.insert(running_.end(), queue_.begin(), queue_.end());
  queue_.clear();
  if (is_behind_ && running_.size() > 2) alternate_sources();
  for (Connection* connection : running_) {
    connection->queued_ = false;
    connection->turn();
  }
  ends_turn_ = false;
  is_behind_ = read_time_ >= time_to_read;
  read_time_ = {};
  reap();
  running_.clear();
  trimmer_.look();
  return !queue_.empty() || !deferred_.empty() || !handshakes_.empty() || !resets_.empty() || told_;
}

// Of those that had a turn: a connection that is over has one after its close, and another when the
// last stream is forgotten.
void ConnectionTable::reap() {
  bool any = false;
  for (const Connection* connection : running_) {
    const bool is_over = connection->state_ == Connection::State::closed &&
                         connection->streams() == 0 && !connection->queued_;
    if (!is_over) continue;
    any = true;
    const std::size_t slot = connection->slot_;
    if (slot + 1 != connections_.size()) {
      connections_[slot].swap(connections_.back());
      connections_[slot]->slot_ = slot;
    }
    connections_.pop_back();
  }
  if (!any || !connections_.empty()) return;
  pool_.trim();
  owner_.on_no_connections();
}

}  // namespace finhold::tunnel
