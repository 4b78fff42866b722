#include "relay/client_counts.h"

#include <algorithm>
#include <random>

#include "base/check.h"
#include "relay/route.h"

namespace finhold::relay {
namespace {

constexpr std::uint64_t second_ns = 1'000'000'000;
constexpr std::uint64_t burst_ns = ClientLimits::burst_seconds * second_ns;

std::uint64_t random_word() {
  std::random_device device;
  return std::uint64_t{device()} << 32 | device();
}

// Nobody can choose addresses that meet in one place of a table.
std::uint64_t hash_of(const base::Network& client) {
  static const std::uint64_t seed = random_word();
  return client.hash(seed);
}

}  // namespace

std::size_t ClientSessions::Hash::operator()(const base::Network& client) const {
  return hash_of(client);
}

// By bits that the tables in it do not go by.
ClientSessions::Shard& ClientSessions::shard_of(const base::Network& client) {
  return shards_[(hash_of(client) >> 48) % shards_.size()];
}

bool ClientSessions::take(const base::Network& client, std::uint32_t most) {
  Shard& shard = shard_of(client);
  const std::lock_guard lock(shard.mutex);
  const auto [entry, is_new] = shard.sessions.try_emplace(client, 0);
  if (!is_new && most != 0 && entry->second >= most) return false;
  ++entry->second;
  return true;
}

void ClientSessions::give_back(const base::Network& client) {
  Shard& shard = shard_of(client);
  const std::lock_guard lock(shard.mutex);
  const auto entry = shard.sessions.find(client);
  FINHOLD_CHECK(entry != shard.sessions.end());
  if (--entry->second == 0) shard.sessions.erase(entry);
}

std::size_t ClientSessions::clients() const {
  std::size_t count = 0;
  for (const Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    count += shard.sessions.size();
  }
  return count;
}

// A bucket is written as the time when it will be full: each token moves that on by the time that
// one takes to come back ("virtual scheduling" of ITU-T I.371).
bool ClientRates::take(const base::Network& client, std::uint32_t per_second, core::Instant now) {
  std::call_once(made_, [this] { sets_.resize(sets); });
  const std::uint64_t now_ns = now * 1'000'000;
  const std::uint64_t hash = hash_of(client);
  const std::size_t place = (hash >> 32) % sets;
  const std::lock_guard lock(mutexes_[place % locks]);
  Set& set = sets_[place];
  auto bucket = std::find_if(set.begin(), set.end(),
                             [hash](const Bucket& one) { return one.client == hash; });
  if (bucket == set.end()) {
    bucket = std::min_element(set.begin(), set.end(), [](const Bucket& one, const Bucket& two) {
      return one.full_at_ns < two.full_at_ns;
    });
    *bucket = {hash, now_ns};
  }
  const std::uint64_t full_at_ns = std::max(bucket->full_at_ns, now_ns) + second_ns / per_second;
  if (full_at_ns > now_ns + burst_ns) return false;
  bucket->full_at_ns = full_at_ns;
  return true;
}

}  // namespace finhold::relay
