// The routes and the ends of pairs that a configuration file has, with their places in it: what is
// wrong with keys that are right each for itself, and making the config of them.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "config/file.h"
#include "config/keys.h"
#include "config/section.h"

namespace finhold::config {

struct PlacedSection {
  const Table* table = nullptr;  // `route`, `tunnel` or `far`
  Section section;
  Place place;
  Place tls;
  // The keys and tables that it has, right or wrong, as they should have been spelt.
  std::vector<std::string_view> names;
  // The keys with a right value, those of its tables too (of two with one name, as idle, the last),
  // and the items of those that are lists.
  std::map<std::string_view, Place> good;
  std::map<std::string_view, std::vector<Place>> items;

  [[nodiscard]] bool is(std::string_view path) const { return table->path == path; }
  [[nodiscard]] bool has(std::string_view key) const;
  // Nothing if it is missing or wrong.
  [[nodiscard]] const Place* at(std::string_view key) const;
  [[nodiscard]] std::vector<std::string_view> given() const;
  [[nodiscard]] const std::string& name() const;
  // "route "orders"", or "this route", by what is known of it.
  [[nodiscard]] std::string words() const;
  // "route "orders" on line 3", "the route on line 3".
  [[nodiscard]] std::string words_from_afar(const Place& key) const;
};

// Appends the mistakes, in no order. `config` has what is in no section of a list, and gets these.
// `admin_listen`: where its admin.listen stands; null if that is missing or wrong.
void add_sections(std::vector<PlacedSection> sections, const Place* admin_listen, Config& config,
                  Problems& problems);

}  // namespace finhold::config
