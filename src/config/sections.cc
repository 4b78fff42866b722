#include "config/sections.h"

#include <algorithm>

#include <climits>

#include "base/check.h"
#include "config/catch_checks.h"
#include "config/client_checks.h"
#include "config/listen_overlap.h"
#include "config/messages.h"
#include "config/route_checks.h"

namespace finhold::config {

bool PlacedSection::has(std::string_view key) const {
  return std::find(names.begin(), names.end(), key) != names.end();
}

const Place* PlacedSection::at(std::string_view key) const {
  const auto found = good.find(key);
  return found != good.end() ? &found->second : nullptr;
}

std::vector<std::string_view> PlacedSection::given() const {
  std::vector<std::string_view> keys;
  for (const auto& [key, where] : good) keys.push_back(key);
  return keys;
}

const std::string& PlacedSection::name() const {
  return is("tunnel") ? section.tunnel.name : section.route.name;
}

std::string PlacedSection::words() const {
  const std::string noun(table->singular);
  return at("name") != nullptr ? noun + " " + in_quotes(name()) : "this " + noun;
}

std::string PlacedSection::words_from_afar(const Place& key) const {
  const std::string noun(table->singular);
  return (at("name") != nullptr ? noun + " " + in_quotes(name()) : "the " + noun) + " on line " +
         std::to_string(key.line);
}

namespace {

class Whole {
 public:
  Whole(std::vector<PlacedSection> sections, const Place* admin_listen, Config& config,
        Problems& problems)
      : sections_(std::move(sections)),
        admin_listen_(admin_listen),
        config_(config),
        problems_(problems) {
    // In the order of the file: the parser's is that of the names of tables.
    std::sort(sections_.begin(), sections_.end(),
              [](const PlacedSection& one, const PlacedSection& two) {
                return one.place.line != two.place.line ? one.place.line < two.place.line
                                                        : one.place.column < two.place.column;
              });
  }

  void add();

 private:
  void tell(const Place& at, std::string what) {
    problems_.push_back({at.line, at.column, std::move(what)});
  }
  // Of a key that is given.
  void tell(const PlacedSection& placed, std::string_view key, const std::string& what) {
    tell(placed, RouteMistake{key, what});
  }
  void tell(const PlacedSection& placed, const RouteMistake& mistake);

  void find_tunnel(PlacedSection& route);
  void check_route(const PlacedSection& route);
  void check_catching(const PlacedSection& route);
  void check_tunnel(const PlacedSection& tunnel);
  void check_far(const PlacedSection& far);
  void compare_names(const PlacedSection& placed);
  void compare_listeners(const PlacedSection& placed);
  void tell_taken(const PlacedSection& placed, const base::Address& by, const std::string& whose);
  void keep(PlacedSection& placed);

  // The first that stands before `item` and is like it; nothing if there is none.
  template <typename Like>
  [[nodiscard]] const PlacedSection* earlier(const PlacedSection& placed, Like like) const {
    for (const PlacedSection& one : sections_) {
      if (&one == &placed) break;
      if (like(one)) return &one;
    }
    return nullptr;
  }

  std::vector<PlacedSection> sections_;
  const Place* admin_listen_;
  Config& config_;
  Problems& problems_;
};

void Whole::add() {
  for (PlacedSection& placed : sections_) {
    placed.section.route.keepalive.probing = !placed.section.keepalive_off;
    compare_names(placed);
    if (placed.is("tunnel")) {
      check_tunnel(placed);
      continue;
    }
    compare_listeners(placed);
    if (placed.is("far")) {
      check_far(placed);
    } else {
      find_tunnel(placed);
      check_route(placed);
      check_catching(placed);
    }
  }
  if (!problems_.empty()) return;
  for (PlacedSection& placed : sections_) keep(placed);
  mark_own_connections(config_);
}

void Whole::tell(const PlacedSection& placed, const RouteMistake& mistake) {
  // What it tells the lack of may be there, and wrong.
  if (placed.has(mistake.lacks) && placed.at(mistake.lacks) == nullptr) return;
  const Place* at =
      mistake.item ? &placed.items.at(mistake.key).at(*mistake.item) : placed.at(mistake.key);
  FINHOLD_CHECK(at != nullptr);
  tell(*at, std::string(mistake.key) + ": " + mistake.what);
}

void Whole::find_tunnel(PlacedSection& route) {
  const std::string& wanted = route.section.tunnel_name;
  if (wanted.empty()) return;
  std::vector<std::string_view> names;
  bool all_named = true;
  for (const PlacedSection& placed : sections_) {
    if (!placed.is("tunnel")) continue;
    if (placed.name() == wanted) route.section.route.tunnel = static_cast<int>(names.size());
    names.push_back(placed.name());
    all_named = all_named && placed.at("name") != nullptr;
  }
  if (route.section.route.tunnel >= 0) return;
  route.section.route.tunnel = INT_MAX;  // goes through one, which nobody knows
  if (!all_named) return;
  const auto nearest = nearest_name(wanted, names);
  tell(route, "tunnel",
       "there is no [[tunnel]] named " + in_quotes(wanted) +
           (nearest         ? "; did you mean " + in_quotes(*nearest) + "?"
            : names.empty() ? "; " + std::string(find_table("", "tunnel")->cure)
                            : "; write the name of one that this file has"));
}

void Whole::check_route(const PlacedSection& route) {
  const auto given = route.given();
  for (const RouteMistake& mistake : route_mistakes(route.section.route, given))
    tell(route, mistake);
  for (const RouteMistake& mistake : door_mistakes(route.section.route, given))
    tell(route, mistake);
  if (const auto mistake = nursing_mistake(route.section.route, given)) tell(route, *mistake);
}

void Whole::check_catching(const PlacedSection& route) {
  // A key that matters here is wrong in itself.
  for (const std::string_view name : {"intercept", "mark", "catch", "spare"}) {
    if (route.has(name) && route.at(name) == nullptr) return;
  }
  for (const auto& mistake : catch_mistakes(route.section.route, route.given(), config_.user)) {
    tell(route, mistake);
  }
}

void Whole::check_tunnel(const PlacedSection& tunnel) {
  const Section& section = tunnel.section;
  if (!section.near_tls.certificate.empty() && !tunnel.has("key")) {
    tell(tunnel, "certificate", R"(needs its private key; add key = "near.key")");
  }
  if (!section.near_tls.key.empty() && !tunnel.has("certificate")) {
    tell(tunnel, "key", R"(is of no use alone; add certificate = "near.pem")");
  }
  if (!section.near_tls.crl.empty() && section.near_tls.ca.empty() && !tunnel.has("ca")) {
    tell(tunnel, "crl", R"(is of what ca has; add ca = "ca.pem", or leave it out)");
  }
  if (tunnel.at("far") == nullptr) return;
  if (const auto mistake = section.tunnel.far.zone_mistake()) tell(tunnel, "far", mistake->text);
  for (const PlacedSection& route : sections_) {
    const Place* listen = route.at("listen");
    if (!route.is("route") || listen == nullptr) continue;
    if (!loop_mistake(route.section.route.listen, section.tunnel.far)) continue;
    tell(tunnel, "far",
         in_quotes(section.tunnel.far.text()) + " is where " + route.words_from_afar(*listen) +
             " listens, which is no far end; write where a [[far]] listens");
  }
}

void Whole::check_far(const PlacedSection& far) {
  if (far.at("allow") != nullptr && far.section.far.allow.empty()) {
    tell(far, "allow",
         "opens nothing; write what near ends may open, such as " +
             std::string(find_key("far", "allow")->example));
  }
  if (!far.section.far_tls.crl.empty() && far.section.far_tls.client_ca.empty() &&
      !far.has("client_ca")) {
    tell(far, "crl", R"(is of what client_ca has; add client_ca = "ca.pem", or leave it out)");
  }
}

// The log tells routes and far ends apart by their names.
void Whole::compare_names(const PlacedSection& placed) {
  const bool by_default = !placed.has("name") && !placed.name().empty();
  if (placed.at("name") == nullptr && !by_default) return;
  const PlacedSection* same = earlier(placed, [&](const PlacedSection& other) {
    return other.is("tunnel") == placed.is("tunnel") && other.name() == placed.name();
  });
  if (same == nullptr) return;
  const Place* named = same->at("name");
  const std::string all =
      same->table == placed.table ? "every " + std::string(placed.table->singular) : "each of them";
  tell(by_default ? placed.place : *placed.at("name"),
       "name: " + (by_default ? "without one it is " + in_quotes(placed.name()) + ", and " : "") +
           same->words_from_afar(named != nullptr ? *named : same->place) +
           " has this name already; give " + all + " a name of its own");
}

void Whole::compare_listeners(const PlacedSection& placed) {
  if (placed.at("listen") == nullptr) return;
  const base::Address& address = placed.section.route.listen;
  const PlacedSection* taken = earlier(placed, [&](const PlacedSection& other) {
    return other.at("listen") != nullptr && listeners_overlap(other.section.route.listen, address);
  });
  if (taken != nullptr) {
    tell_taken(placed, taken->section.route.listen, taken->words_from_afar(*taken->at("listen")));
  }
  if (admin_listen_ != nullptr && listeners_overlap(*config_.admin.listen, address)) {
    tell_taken(placed, *config_.admin.listen,
               "[admin] on line " + std::to_string(admin_listen_->line));
  }
}

void Whole::tell_taken(const PlacedSection& placed, const base::Address& by,
                       const std::string& whose) {
  const std::string listen = in_quotes(placed.section.route.listen.text());
  const std::string other = in_quotes(by.text());
  tell(placed, "listen",
       listen + (listen == other ? " is taken by " : " overlaps " + other + " of ") + whose +
           "; give one of them another port");
}

void Whole::keep(PlacedSection& placed) {
  Section& section = placed.section;
  section.route.fin.vanished_after = section.route.keepalive.vanished_after();
  section.route.fin.idle = section.idle.value_or(config_.limits.idle);
  section.route.fin.closing =
      section.closing.value_or(config_.limits.closing.value_or(section.route.fin.vanished_after));
  const Place* const at_token = placed.at("token");
  const Place token = at_token != nullptr ? *at_token : Place{};
  if (placed.is("route")) {
    // A tunnel never half-closes, and both ends of it tell each other what ends.
    if (section.route.tunnel >= 0 && !placed.has("crosses"))
      section.route.fin.crosses = core::Crosses::none;
    if (allows_all(section.route)) section.route.allow.clear();
    config_.routes.push_back(std::move(section.route));
  } else if (placed.is("far")) {
    section.route.fin.crosses = core::Crosses::none;
    section.far.route = std::move(section.route);
    if (!section.tls_off) section.far.tls = std::move(section.far_tls);
    config_.fars.push_back({std::move(section.far), placed.tls, token});
  } else {
    if (section.near_tls.server_name.empty()) {
      // A certificate has addresses without an interface.
      const std::string& host = section.tunnel.far.host;
      section.near_tls.server_name = host.substr(0, host.find('%'));
    }
    if (!section.tls_off) section.tunnel.tls = std::move(section.near_tls);
    config_.tunnels.push_back({std::move(section.tunnel), placed.tls, token});
  }
}

}  // namespace

void add_sections(std::vector<PlacedSection> sections, const Place* admin_listen, Config& config,
                  Problems& problems) {
  Whole(std::move(sections), admin_listen, config, problems).add();
}

}  // namespace finhold::config
