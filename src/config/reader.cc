#include "config/reader.h"

#include <algorithm>
#include <sstream>

#include <toml++/toml.h>

#include "config/keys.h"
#include "config/messages.h"
#include "config/sections.h"
#include "config/syntax_hints.h"
#include "config/value.h"

namespace finhold::config {
namespace {

using LoadResult = base::Result<Config, Problems>;

Place place_of(const toml::source_position& at) { return {at.line, at.column}; }
Place place_of(const toml::node& node) { return place_of(node.source().begin); }

// "the integer 5", "the string "5s"", "a table".
std::string found(const toml::node& node) {
  if (const auto* text = node.as_string()) return "the string " + in_quotes(text->get());
  if (const auto* number = node.as_integer()) return "the integer " + std::to_string(number->get());
  if (const auto* truth = node.as_boolean()) return truth->get() ? "true" : "false";
  if (node.is_table()) return "a table";
  if (node.is_array()) return "an array";
  std::ostringstream shown;
  node.visit([&shown](const auto& value) {
    if constexpr (toml::is_value<decltype(value)>) shown << value;
  });
  return (node.is_floating_point() ? "the number " : "the date or time ") + shown.str();
}

bool takes_number(const Key& key) {
  return key.kind == Kind::count || key.kind == Kind::count_or_auto ||
         key.kind == Kind::count_or_none;
}

bool is_whole_number(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

// The cure for a number where a string belongs: what was probably meant, if that would be right.
std::string as_string(const Key& key, const toml::node& node) {
  const auto* number = node.as_integer();
  if (number == nullptr) return {};
  const std::string digits = std::to_string(number->get());
  const bool is_name = key.kind == Kind::name || key.kind == Kind::tunnel;
  for (const std::string_view unit : {"", "s", "B"}) {
    std::string text = digits + std::string(unit);
    if (unit.empty() == is_name && parse_value(key, text).ok()) {
      return "; write " + in_quotes(text) + ", in quotes" +
             (unit.empty() ? "" : " and with its unit");
    }
  }
  return {};
}

class Reader {
 public:
  LoadResult read(const toml::table& root);

 private:
  void add(const Place& at, std::string what) {
    problems_.push_back({at.line, at.column, std::move(what)});
  }
  void add(const toml::node& node, std::string what) { add(place_of(node), std::move(what)); }

  // Each table of the file once, under the path of its Table; "" is the whole file.
  std::vector<std::string_view> read_table(const toml::table& table, std::string_view path,
                                           PlacedSection& placed);
  void read_inner_table(const Table& known, const toml::node& node, PlacedSection& placed);
  void read_value(const Key& key, const toml::node& node, PlacedSection& placed);
  void read_truth(const Key& key, const toml::node& node, PlacedSection& placed);
  void read_list(const Key& key, const toml::node& node, PlacedSection& placed);
  void read_sections(const Table& known, const toml::node& node);
  void read_item(const Table& known, const toml::table& table);

  void need_keys(const Table& known, const Place& at, const std::vector<std::string_view>& names,
                 const PlacedSection& placed);
  void need_tables(const PlacedSection& placed);

  // Tells of it and gives the known name that it should have been, if one is near.
  std::string_view refuse_name(const toml::key& name, const toml::node& node,
                               std::string_view path);

  Config config_;
  Problems problems_;
  std::vector<PlacedSection> sections_;
};

LoadResult Reader::read(const toml::table& root) {
  PlacedSection
      no_section;  // what is outside of sections is stored in the config; this has the places
  const auto names = read_table(root, "", no_section);
  const auto has = [&names](std::string_view name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  if (!has("route") && !has("far")) {
    add({1, 1}, "there is no route and no far end; " + std::string(find_table("", "route")->cure) +
                    ", or a [[far]]");
  }
  // The only table outside of sections that listens is [admin].
  add_sections(std::move(sections_), no_section.at("listen"), config_, problems_);
  if (problems_.empty()) return std::move(config_);
  std::stable_sort(problems_.begin(), problems_.end(), [](const Problem& one, const Problem& two) {
    return one.line != two.line ? one.line < two.line : one.column < two.column;
  });
  return std::move(problems_);
}

// Gives the names that it has, as they should have been spelt.
std::vector<std::string_view> Reader::read_table(const toml::table& table, std::string_view path,
                                                 PlacedSection& placed) {
  std::vector<std::string_view> names;
  for (const auto& [name, node] : table) {
    const Key* key = find_key(path, name.str());
    const Table* inner = find_table(path, name.str());
    if (key != nullptr && (inner == nullptr || !node.is_table())) {
      names.push_back(key->name);
      read_value(*key, node, placed);
    } else if (inner != nullptr) {
      names.push_back(inner->name);
      read_inner_table(*inner, node, placed);
    } else {
      names.push_back(refuse_name(name, node, path));
      // What stands in a misspelt table may be wrong as well.
      const Table* meant = find_table(path, names.back());
      if (meant != nullptr) read_inner_table(*meant, node, placed);
    }
  }
  placed.names.insert(placed.names.end(), names.begin(), names.end());
  return names;
}

void Reader::read_inner_table(const Table& known, const toml::node& node, PlacedSection& placed) {
  if (known.is_section()) return read_sections(known, node);
  if (known.name == "tls") placed.tls = place_of(node);
  if (const auto* table = node.as_table()) {
    const auto names = read_table(*table, known.path, placed);
    return need_keys(known, place_of(node), names, placed);
  }
  if (node.is_array_of_tables()) {
    return add(node, "there is only one " + std::string(known.name) + " here; write [" +
                         std::string(known.path) + "], in one pair of brackets");
  }
  const auto* text = node.as_string();
  if (text != nullptr && !known.or_text.empty() && text->get() == known.or_text) {
    (known.name == "tls" ? placed.section.tls_off : placed.section.keepalive_off) = true;
    placed.good.emplace(known.name, place_of(node));
    return;
  }
  std::string cure =
      "write " + std::string(known.heading) + " on a line of its own, and its keys below";
  if (!known.example.empty()) {
    cure = "write " + std::string(known.example) + ", or some of these";
  }
  std::string expected = "a table";
  if (!known.or_text.empty()) {
    expected += " or " + in_quotes(known.or_text);
    cure += ", " + std::string(known.cure);
  }
  add(node,
      std::string(known.name) + ": expected " + expected + ", found " + found(node) + "; " + cure);
}

void Reader::read_value(const Key& key, const toml::node& node, PlacedSection& placed) {
  if (is_list(key.kind)) return read_list(key, node, placed);
  if (key.kind == Kind::truth) return read_truth(key, node, placed);
  const std::string label = std::string(key.name) + ": ";
  const auto* text = node.as_string();
  const auto* number = node.as_integer();
  if (key.kind == Kind::secret && text == nullptr) {
    return add(node, label + "expected a string, in quotes");
  }
  const bool takes_text = key.kind != Kind::count;
  if (text != nullptr && takes_number(key) && is_whole_number(text->get())) {
    return add(node, label + "expected a whole number, found " + found(node) + "; write " +
                         text->get().substr(0, 20) + " without quotes");
  }
  const bool fits = takes_number(key) && number != nullptr;
  if (!fits && (text == nullptr || !takes_text)) {
    std::string expected = "a string such as " + std::string(key.example);
    if (key.kind == Kind::limit) expected = R"(a string such as "10s" or "never")";
    if (key.kind == Kind::limit_or_auto) {
      expected = R"(a string such as "10s", "never" or "auto")";
    }
    if (const Table* table = find_table(key.table, key.name)) {
      expected += ", or " + std::string(table->example);
    }
    if (takes_number(key) || key.kind == Kind::choice || key.kind == Kind::source ||
        key.kind == Kind::tunnel || key.kind == Kind::host || key.kind == Kind::path) {
      expected = allowed(key);
    }
    return add(node, label + "expected " + expected + ", found " + found(node) +
                         (takes_number(key) ? "" : as_string(key, node)));
  }

  const auto value =
      parse_value(key, text != nullptr ? text->get() : std::to_string(number->get()));
  if (!value.ok()) return add(node, label + value.error().text);
  Target target{config_, placed.section};
  key.store(value.value(), target);
  placed.good.emplace(key.name, place_of(node));
}

void Reader::read_truth(const Key& key, const toml::node& node, PlacedSection& placed) {
  if (const auto* truth = node.as_boolean()) {
    Target target{config_, placed.section};
    key.store({.number = truth->get() ? 1U : 0U}, target);
    placed.good.emplace(key.name, place_of(node));
    return;
  }
  const auto* text = node.as_string();
  const bool quoted = text != nullptr && parse_value(key, text->get()).ok();
  add(node, std::string(key.name) + ": expected true or false, found " + found(node) +
                (quoted ? "; write " + text->get() + " without quotes" : ""));
}

// Each wrong item is told of at its own place.
void Reader::read_list(const Key& key, const toml::node& node, PlacedSection& placed) {
  const std::string label = std::string(key.name) + ": ";
  const auto* array = node.as_array();
  if (array == nullptr) {
    const auto* text = node.as_string();
    const bool lacks_brackets = text != nullptr && parse_value(key, text->get()).ok();
    return add(node,
               label + "expected a list such as " + std::string(list_example(key)) + ", found " +
                   found(node) +
                   (lacks_brackets ? "; write [" + in_quotes(text->get()) + "], in brackets" : ""));
  }
  const std::size_t before = problems_.size();
  Target target{config_, placed.section};
  std::vector<Place> places;
  for (const toml::node& item : *array) {
    places.push_back(place_of(item));
    const auto* text = item.as_string();
    if (text == nullptr) {
      add(item, label + "found " + found(item) + " in the list; write strings such as " +
                    std::string(list_example(key)));
      continue;
    }
    const auto value = parse_value(key, text->get());
    if (value.ok()) {
      key.store(value.value(), target);
    } else {
      add(item, label + value.error().text);
    }
  }
  if (problems_.size() > before) return;
  placed.good.emplace(key.name, place_of(node));
  placed.items.emplace(key.name, std::move(places));
}

void Reader::read_sections(const Table& known, const toml::node& node) {
  const std::string name(known.name);
  const std::string heading(known.heading);
  if (const auto* table = node.as_table()) {
    add(node, "a file may have several " + std::string(known.singular) + "s; write " + heading +
                  ", in two pairs of brackets");
    return read_item(known, *table);
  }
  const auto* array = node.as_array();
  if (array == nullptr || array->empty()) {
    return add(node, name + ": expected a table, found " +
                         (array == nullptr ? found(node) : "none") + "; " +
                         std::string(known.cure));
  }
  for (const toml::node& element : *array) {
    if (const auto* table = element.as_table()) {
      read_item(known, *table);
    } else {
      std::string what = name;
      what.append(": expected a table, found ").append(found(element));
      what.append("; write ").append(heading).append(" on a line of its own, and its keys below");
      add(element, std::move(what));
    }
  }
}

void Reader::read_item(const Table& known, const toml::table& table) {
  PlacedSection placed;
  placed.table = &known;
  placed.place = place_of(table);
  if (known.path == "far") placed.section.route.name = "far";
  const auto names = read_table(table, known.path, placed);
  need_keys(known, placed.place, names, placed);
  need_tables(placed);
  sections_.push_back(std::move(placed));
}

// Whether a route finds its servers by itself; where `intercept` is wrong it may be meant to.
bool may_intercept(const PlacedSection& placed) {
  return placed.has("intercept") && (placed.at("intercept") == nullptr ||
                                     placed.section.route.intercept != relay::Intercept::none);
}

void Reader::need_keys(const Table& known, const Place& at,
                       const std::vector<std::string_view>& names, const PlacedSection& placed) {
  for (const Key& key : known_keys()) {
    if (key.table != known.path || !key.required) continue;
    if (std::find(names.begin(), names.end(), key.name) != names.end()) continue;
    if (known.path == "route" && key.kind == Kind::server && may_intercept(placed)) continue;
    add(at, (known.is_section() ? placed.words() : std::string(known.name)) + " has no " +
                std::string(key.name) + "; add " + std::string(key.name) + " = " +
                std::string(key.example));
  }
}

// Those that may be told to be left out by a word, which must be said.
void Reader::need_tables(const PlacedSection& placed) {
  for (const Table& inner : known_tables()) {
    if (inner.parent != placed.table->path || !inner.required || placed.has(inner.name)) {
      continue;
    }
    add(placed.place, placed.words() + " has no " + std::string(inner.name) + "; add " +
                          std::string(inner.name) + " = " + std::string(inner.example) + ", " +
                          std::string(inner.cure));
  }
}

std::string_view Reader::refuse_name(const toml::key& name, const toml::node& node,
                                     std::string_view path) {
  const bool is_table = node.is_table() || node.is_array_of_tables();
  const std::string place = path.empty() ? "" : " in " + std::string(heading_of(path));
  std::string what = (is_table ? "unknown table " : "unknown key ") + in_quotes(name.str()) + place;
  const Place at = place_of(name.source().begin);

  for (const Key& key : known_keys()) {
    if (is_table || key.name != name.str()) continue;
    add(at, what + "; it belongs in " + std::string(heading_of(key.table)));
    return {};
  }
  for (const Table& table : known_tables()) {
    if (!is_table || table.name != name.str()) continue;
    const std::string_view written = table.has_header() ? table.heading : table.name;
    add(at,
        what + "; write " + std::string(written) +
            (table.parent.empty() ? "" : " below its " + std::string(heading_of(table.parent))));
    return {};
  }
  const auto names = names_in(path);
  if (const auto nearest = nearest_name(name.str(), names)) {
    const Table* meant = is_table ? find_table(path, *nearest) : nullptr;
    const bool has_header = meant != nullptr && meant->has_header();
    add(at, what + "; did you mean " +
                (has_header ? std::string(meant->heading) : in_quotes(*nearest)) + "?");
    return *nearest;
  }
  std::vector<std::string> known;
  for (const auto one : names) {
    const Table* inner = find_table(path, one);
    known.emplace_back(inner != nullptr && inner->has_header() ? inner->heading : one);
  }
  add(at, what + (path.empty() ? "; there may be " : "; the known keys there are ") +
              listed(known, "and"));
  return {};
}

}  // namespace

LoadResult read_config(std::string_view text) {
  try {
    return Reader().read(toml::parse(text));
  } catch (const toml::parse_error& error) {
    const auto& at = error.source().begin;
    return Problems{
        {at.line, at.column, explain_syntax_error(text, at.line, at.column, error.description())}};
  }
}

}  // namespace finhold::config
