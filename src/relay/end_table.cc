#include "relay/end_table.h"

#include <utility>

namespace finhold::relay {

namespace {

// No name of a route has a space.
std::string key_of(const std::string& route, const std::string& server) {
  return route + ' ' + server;
}

}  // namespace

EndTable::Entry* EndTable::find(const std::string& key) {
  const auto place = places_.find(key);
  if (place == places_.end()) return nullptr;
  entries_.splice(entries_.begin(), entries_, place->second);
  return &entries_.front();
}

core::EndNeeds EndTable::needs(const std::string& route, const std::string& server,
                               base::Flow flow) {
  const Entry* const entry = find(key_of(route, server));
  return entry != nullptr ? entry->needs[base::index(flow)] : core::EndNeeds{};
}

core::EndNeeds EndTable::learn(const std::string& route, const std::string& server, base::Flow flow,
                               core::EndLesson lesson) {
  std::string key = key_of(route, server);
  Entry* entry = find(key);
  if (entry == nullptr) {
    if (places_.size() == most) {
      places_.erase(entries_.back().key);
      entries_.pop_back();
    }
    entries_.push_front({key, {}});
    places_.emplace(std::move(key), entries_.begin());
    entry = &entries_.front();
  }
  core::EndNeeds& needs = entry->needs[base::index(flow)];
  needs.learn(lesson);
  return needs;
}

}  // namespace finhold::relay
