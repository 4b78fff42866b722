// What is known of servers, and of their clients, about the ends that they are sent:
// core/end_lessons for each server of a route and each direction. Kept by the names of routes, so
// that it survives a reload. Bounded: what was used longest ago goes.
#pragma once

#include <array>
#include <cstddef>
#include <list>
#include <string>
#include <unordered_map>

#include "base/side.h"
#include "core/end_lessons.h"

namespace finhold::relay {

// Of one worker, on its thread. Asked only by sessions that end one way early.
class EndTable {
 public:
  static constexpr std::size_t most = 4096;

  // Nothing is known of who is not here.
  [[nodiscard]] core::EndNeeds needs(const std::string& route, const std::string& server,
                                     base::Flow flow);
  // And what is known from now on.
  core::EndNeeds learn(const std::string& route, const std::string& server, base::Flow flow,
                       core::EndLesson lesson);

  [[nodiscard]] std::size_t size() const { return places_.size(); }

 private:
  struct Entry {
    std::string key;
    std::array<core::EndNeeds, 2> needs;  // by base::Flow
  };
  using Entries = std::list<Entry>;  // the one used last first

  Entry* find(const std::string& key);

  Entries entries_;
  std::unordered_map<std::string, Entries::iterator> places_;
};

}  // namespace finhold::relay
