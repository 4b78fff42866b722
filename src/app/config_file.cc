#include "app/config_file.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <map>
#include <memory>
#include <sstream>

#include <toml++/toml.h>

#include "app/catch_mistakes.h"
#include "app/config_keys.h"
#include "app/config_value.h"
#include "app/listen_overlap.h"
#include "app/route_mistakes.h"
#include "app/syntax_cure.h"
#include "app/wording.h"

namespace finhold::app {
namespace {

using LoadResult = base::Result<Config, Problems>;

constexpr std::size_t largest_file = std::size_t{1024} * 1024;
// The parser goes one call deeper for each part of a dotted key, without a limit of its own: tens
// of thousands of dots in one line would overflow its stack.
constexpr std::size_t longest_line = 4096;

constexpr std::string_view route_cure =
    "add a [[route]] with name, listen and server: what to relay, and where to";

// A route, and where the file has its keys.
struct PlacedRoute {
  relay::Route route;
  toml::source_position table;
  std::map<std::string_view, const toml::node*> good;  // the keys of [[route]] with a right value

  bool catching_unclear = false;  // a key that catch_mistakes() looks at is wrong in itself

  // Nothing if it is missing or wrong.
  [[nodiscard]] const toml::node* at(std::string_view key) const {
    const auto found = good.find(key);
    return found != good.end() ? found->second : nullptr;
  }
  [[nodiscard]] std::vector<std::string_view> given() const {
    std::vector<std::string_view> keys;
    for (const auto& [key, node] : good) keys.push_back(key);
    return keys;
  }
  // "route "orders" on line 3", with what is known of it.
  [[nodiscard]] std::string words(const toml::node* near) const {
    return (at("name") != nullptr ? "route " + in_quotes(route.name) : std::string("the route")) +
           " on line " + std::to_string(near->source().begin.line);
  }
};

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
  return key.kind == Kind::count || key.kind == Kind::count_or_auto;
}

bool is_whole_number(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

// The cure for a number where a string belongs: what was probably meant, if that would be right.
std::string as_string(const Key& key, const toml::node& node) {
  const auto* number = node.as_integer();
  if (number == nullptr) return {};
  const std::string digits = std::to_string(number->get());
  for (const std::string_view unit : {"", "s", "B"}) {
    std::string text = digits + std::string(unit);
    if (unit.empty() == (key.kind == Kind::name) && parse_value(key, text).ok()) {
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
  void add(const toml::source_position& at, std::string what) {
    problems_.push_back({at.line, at.column, std::move(what)});
  }
  void add(const toml::node& node, std::string what) { add(node.source().begin, std::move(what)); }

  // Each table of the file once, under the path of its Table; "" is the whole file.
  std::vector<std::string_view> read_table(const toml::table& table, std::string_view path,
                                           PlacedRoute& placed);
  void read_inner_table(const Table& known, const toml::node& node, PlacedRoute& placed);
  void read_value(const Key& key, const toml::node& node, PlacedRoute& placed);
  void read_truth(const Key& key, const toml::node& node, PlacedRoute& placed);
  void read_list(const Key& key, const toml::node& node, PlacedRoute& placed);
  void read_routes(const toml::node& node);
  void read_route(const toml::table& table);
  void compare_with_earlier(const PlacedRoute& placed);
  void check_catching(const PlacedRoute& placed);

  // Tells of it and gives the known name that it should have been, if one is near.
  std::string_view refuse_name(const toml::key& name, const toml::node& node,
                               std::string_view path);

  Config config_;
  Problems problems_;
  std::vector<PlacedRoute> routes_;
};

LoadResult Reader::read(const toml::table& root) {
  PlacedRoute no_route;  // nothing outside of [[route]] is stored in one
  const auto names = read_table(root, "", no_route);
  const bool has_routes = std::find(names.begin(), names.end(), "route") != names.end();
  if (!has_routes) problems_.push_back({1, 1, "there is no route; " + std::string(route_cure)});
  for (const PlacedRoute& placed : routes_) check_catching(placed);
  if (problems_.empty()) {
    for (PlacedRoute& placed : routes_) config_.routes.push_back(std::move(placed.route));
    mark_own_connections(config_.routes);
    return std::move(config_);
  }
  std::stable_sort(problems_.begin(), problems_.end(), [](const Problem& one, const Problem& two) {
    return one.line != two.line ? one.line < two.line : one.column < two.column;
  });
  return std::move(problems_);
}

// Gives the names that it has, as they should have been spelt.
std::vector<std::string_view> Reader::read_table(const toml::table& table, std::string_view path,
                                                 PlacedRoute& placed) {
  std::vector<std::string_view> names;
  for (const auto& [name, node] : table) {
    if (const Key* key = find_key(path, name.str())) {
      names.push_back(key->name);
      read_value(*key, node, placed);
    } else if (const Table* inner = find_table(path, name.str())) {
      names.push_back(inner->name);
      read_inner_table(*inner, node, placed);
    } else {
      names.push_back(refuse_name(name, node, path));
      // What stands in a misspelt table may be wrong as well.
      const Table* meant = find_table(path, names.back());
      if (meant != nullptr) read_inner_table(*meant, node, placed);
    }
  }
  return names;
}

void Reader::read_inner_table(const Table& known, const toml::node& node, PlacedRoute& placed) {
  if (known.path == "route") return read_routes(node);
  if (const auto* table = node.as_table()) {
    read_table(*table, known.path, placed);
    return;
  }
  const std::string heading(known.heading);
  if (node.is_array_of_tables()) {
    return add(node, "there is only one " + std::string(known.name) + " here; write [" +
                         std::string(known.path) + "], in one pair of brackets");
  }
  std::string cure = "write " + heading + " on a line of its own, and its keys below";
  if (known.path == "route.keepalive") {
    cure = R"(write { idle = "30s", interval = "10s", probes = 6 }, or some of these)";
  }
  add(node, std::string(known.name) + ": expected a table, found " + found(node) + "; " + cure);
}

void Reader::read_value(const Key& key, const toml::node& node, PlacedRoute& placed) {
  if (is_list(key.kind)) return read_list(key, node, placed);
  if (key.kind == Kind::truth) return read_truth(key, node, placed);
  const std::string label = std::string(key.name) + ": ";
  const auto* text = node.as_string();
  const auto* number = node.as_integer();
  const bool takes_text = !takes_number(key) || key.kind == Kind::count_or_auto;
  if (text != nullptr && takes_number(key) && is_whole_number(text->get())) {
    return add(node, label + "expected a whole number, found " + found(node) + "; write " +
                         text->get().substr(0, 20) + " without quotes");
  }
  const bool fits = takes_number(key) && number != nullptr;
  if (!fits && (text == nullptr || !takes_text)) {
    std::string expected = "a string such as " + std::string(key.example);
    if (key.kind == Kind::limit) expected = R"(a string such as "10s" or "never")";
    if (takes_number(key) || key.kind == Kind::choice || key.kind == Kind::source)
      expected = allowed(key);
    return add(node, label + "expected " + expected + ", found " + found(node) +
                         (takes_number(key) ? "" : as_string(key, node)));
  }

  const auto value =
      parse_value(key, text != nullptr ? text->get() : std::to_string(number->get()));
  if (!value.ok()) return add(node, label + value.error().text);
  Target target{config_, placed.route};
  key.store(value.value(), target);
  if (key.table == "route") placed.good.emplace(key.name, &node);
}

void Reader::read_truth(const Key& key, const toml::node& node, PlacedRoute& placed) {
  if (const auto* truth = node.as_boolean()) {
    Target target{config_, placed.route};
    key.store({.number = truth->get() ? 1U : 0U}, target);
    if (key.table == "route") placed.good.emplace(key.name, &node);
    return;
  }
  const auto* text = node.as_string();
  const bool quoted = text != nullptr && parse_value(key, text->get()).ok();
  add(node, std::string(key.name) + ": expected true or false, found " + found(node) +
                (quoted ? "; write " + text->get() + " without quotes" : ""));
}

// Each wrong item is told of at its own place.
void Reader::read_list(const Key& key, const toml::node& node, PlacedRoute& placed) {
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
  Target target{config_, placed.route};
  for (const toml::node& item : *array) {
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
  if (key.table == "route" && problems_.size() == before) placed.good.emplace(key.name, &node);
}

void Reader::read_routes(const toml::node& node) {
  if (const auto* table = node.as_table()) {
    add(node, "a file may have several routes; write [[route]], in two pairs of brackets");
    return read_route(*table);
  }
  const auto* array = node.as_array();
  if (array == nullptr || array->empty()) {
    return add(node, "route: expected a table, found " + (array == nullptr ? found(node) : "none") +
                         "; " + std::string(route_cure));
  }
  for (const toml::node& element : *array) {
    if (const auto* table = element.as_table()) {
      read_route(*table);
    } else {
      add(element, "route: expected a table, found " + found(element) + "; write [[route]] on a " +
                       "line of its own, and its keys below");
    }
  }
}

void Reader::read_route(const toml::table& table) {
  PlacedRoute placed;
  placed.table = table.source().begin;
  const auto names = read_table(table, "route", placed);
  for (const Key& key : known_keys()) {
    if (key.table != "route" || !key.required) continue;
    if (std::find(names.begin(), names.end(), key.name) != names.end()) continue;
    // An interceptor finds its server; one that is misspelt may be meant to.
    const bool may_intercept =
        std::find(names.begin(), names.end(), "intercept") != names.end() &&
        (placed.at("intercept") == nullptr || placed.route.intercept != relay::Intercept::none);
    if (key.kind == Kind::server && may_intercept) continue;
    add(placed.table,
        (placed.at("name") == nullptr ? "this route" : "route " + in_quotes(placed.route.name)) +
            " has no " + std::string(key.name) + "; add " + std::string(key.name) + " = " +
            std::string(key.example));
  }
  for (const RouteMistake& mistake : route_mistakes(placed.route, placed.given())) {
    const bool in_file = std::find(names.begin(), names.end(), mistake.lacks) != names.end();
    if (in_file && placed.at(mistake.lacks) == nullptr) continue;
    add(*placed.at(mistake.key), std::string(mistake.key) + ": " + mistake.what);
  }
  compare_with_earlier(placed);
  placed.catching_unclear = std::any_of(names.begin(), names.end(), [&](std::string_view name) {
    const bool matters =
        name == "intercept" || name == "mark" || name == "catch" || name == "spare";
    return matters && placed.at(name) == nullptr;
  });
  routes_.push_back(std::move(placed));
}

void Reader::compare_with_earlier(const PlacedRoute& placed) {
  const relay::Route& route = placed.route;
  const auto same_name = [&](const PlacedRoute& earlier) {
    return placed.at("name") != nullptr && earlier.at("name") != nullptr &&
           earlier.route.name == route.name;
  };
  const auto same_listener = [&](const PlacedRoute& earlier) {
    return placed.at("listen") != nullptr && earlier.at("listen") != nullptr &&
           listeners_overlap(earlier.route.listen, route.listen);
  };

  const auto named = std::find_if(routes_.begin(), routes_.end(), same_name);
  if (named != routes_.end()) {
    add(*placed.at("name"), "name: " + named->words(named->at("name")) +
                                " has this name already; give " + "every route a name of its own");
  }
  const auto taken = std::find_if(routes_.begin(), routes_.end(), same_listener);
  if (taken != routes_.end()) {
    const std::string listen = in_quotes(route.listen.text());
    const std::string other = in_quotes(taken->route.listen.text());
    add(*placed.at("listen"),
        "listen: " + listen + (listen == other ? " is taken by " : " overlaps " + other + " of ") +
            taken->words(taken->at("listen")) + "; give one of them another port");
  }
}

// When all of the file is read: `user` counts too.
void Reader::check_catching(const PlacedRoute& placed) {
  if (placed.catching_unclear) return;
  for (const auto& mistake : catch_mistakes(placed.route, placed.given(), config_.user)) {
    const toml::node* node = placed.at(mistake.key);
    if (mistake.item) node = node->as_array()->get(*mistake.item);
    add(*node, std::string(mistake.key) + ": " + mistake.what);
  }
}

std::string_view Reader::refuse_name(const toml::key& name, const toml::node& node,
                                     std::string_view path) {
  const bool is_table = node.is_table() || node.is_array_of_tables();
  const std::string place = path.empty() ? "" : " in " + std::string(heading_of(path));
  std::string what = (is_table ? "unknown table " : "unknown key ") + in_quotes(name.str()) + place;
  const toml::source_position& at = name.source().begin;

  for (const Key& key : known_keys()) {
    if (is_table || key.name != name.str()) continue;
    add(at, what + "; it belongs in " + std::string(heading_of(key.table)));
    return {};
  }
  for (const Table& table : known_tables()) {
    if (!is_table || table.name != name.str()) continue;
    add(at, what + "; write " + std::string(table.heading) +
                (table.parent.empty() ? "" : " below its [[route]]"));
    return {};
  }
  const auto names = names_in(path);
  if (const auto nearest = nearest_name(name.str(), names)) {
    const Table* meant = is_table ? find_table(path, *nearest) : nullptr;
    const bool has_header = meant != nullptr && meant->heading.starts_with('[');
    add(at, what + "; did you mean " +
                (has_header ? std::string(meant->heading) : in_quotes(*nearest)) + "?");
    return *nearest;
  }
  std::vector<std::string> known;
  for (const auto one : names) {
    const Table* inner = find_table(path, one);
    known.emplace_back(inner != nullptr ? inner->heading : one);
  }
  add(at, what + (path.empty() ? "; there may be " : "; the known keys there are ") +
              listed(known, "and"));
  return {};
}

struct CloseFile {
  void operator()(std::FILE* file) const { static_cast<void>(std::fclose(file)); }
};

Problems unreadable(const std::string& what, int code, const std::string& cure) {
  return {{0, 0, "cannot be " + what + ": " + base::errno_text(code) + cure}};
}

}  // namespace

LoadResult load_config_text(std::string_view text) {
  if (text.size() > largest_file) {
    return Problems{{0, 0, "is larger than 1MiB; no configuration is, so this is another file"}};
  }
  std::size_t line = 0;
  for (std::string_view rest = text; !rest.empty();) {
    const auto end = std::min(rest.find('\n'), rest.size());
    ++line;
    if (end > longest_line) {
      return Problems{{line, longest_line + 1,
                       "this line is longer than " + std::to_string(longest_line) +
                           " bytes; break it up, or check that this is the right file"}};
    }
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  try {
    return Reader().read(toml::parse(text));
  } catch (const toml::parse_error& error) {
    const auto& at = error.source().begin;
    return Problems{
        {at.line, at.column, explain_syntax_error(text, at.line, at.column, error.description())}};
  }
}

LoadResult load_config_file(const std::string& path) {
  const std::unique_ptr<std::FILE, CloseFile> file(std::fopen(path.c_str(), "re"));
  if (file == nullptr) return unreadable("opened", errno, "; check the path and its permissions");
  std::string text(largest_file + 1, '\0');
  errno = 0;
  text.resize(std::fread(text.data(), 1, text.size(), file.get()));
  if (std::ferror(file.get()) != 0) {
    return unreadable("read", errno, "; write the path of a file");
  }
  return load_config_text(text);
}

std::string report(std::string_view path, const Problems& problems) {
  const std::string shown = printable(path);
  std::string text;
  for (const Problem& problem : problems) {
    text += shown + ":";
    if (problem.line > 0) {
      text += std::to_string(problem.line) + ":" + std::to_string(problem.column) + ":";
    }
    text += " " + problem.what + "\n";
  }
  return text + shown + ": " + std::to_string(problems.size()) +
         (problems.size() == 1 ? " problem\n" : " problems\n");
}

}  // namespace finhold::app
