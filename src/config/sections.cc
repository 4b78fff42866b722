#include "app/config_items.h"

#include <algorithm>

#include <climits>

#include "app/catch_mistakes.h"
#include "app/client_mistakes.h"
#include "app/listen_overlap.h"
#include "app/route_mistakes.h"
#include "app/wording.h"
#include "base/check.h"

namespace finhold::app {

bool PlacedItem::has(std::string_view key) const {
  return std::find(names.begin(), names.end(), key) != names.end();
}

const Place* PlacedItem::at(std::string_view key) const {
  const auto found = good.find(key);
  return found != good.end() ? &found->second : nullptr;
}

std::vector<std::string_view> PlacedItem::given() const {
  std::vector<std::string_view> keys;
  for (const auto& [key, where] : good) keys.push_back(key);
  return keys;
}

const std::string& PlacedItem::name() const {
  return is("tunnel") ? item.tunnel.name : item.route.name;
}

std::string PlacedItem::words() const {
  const std::string noun(table->singular);
  return at("name") != nullptr ? noun + " " + in_quotes(name()) : "this " + noun;
}

std::string PlacedItem::words_from_afar(const Place& key) const {
  const std::string noun(table->singular);
  return (at("name") != nullptr ? noun + " " + in_quotes(name()) : "the " + noun) + " on line " +
         std::to_string(key.line);
}

namespace {

class Whole {
 public:
  Whole(std::vector<PlacedItem> items, const Place* admin_listen, Config& config,
        Problems& problems)
      : items_(std::move(items)),
        admin_listen_(admin_listen),
        config_(config),
        problems_(problems) {
    // In the order of the file: the parser's is that of the names of tables.
    std::sort(items_.begin(), items_.end(), [](const PlacedItem& one, const PlacedItem& two) {
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
  void tell(const PlacedItem& item, std::string_view key, const std::string& what) {
    tell(item, RouteMistake{key, what});
  }
  void tell(const PlacedItem& item, const RouteMistake& mistake);

  void find_tunnel(PlacedItem& route);
  void check_route(const PlacedItem& route);
  void check_catching(const PlacedItem& route);
  void check_tunnel(const PlacedItem& tunnel);
  void check_far(const PlacedItem& far);
  void compare_names(const PlacedItem& item);
  void compare_listeners(const PlacedItem& item);
  void tell_taken(const PlacedItem& item, const base::Address& by, const std::string& whose);
  void keep(PlacedItem& placed);

  // The first that stands before `item` and is like it; nothing if there is none.
  template <typename Like>
  [[nodiscard]] const PlacedItem* earlier(const PlacedItem& item, Like like) const {
    for (const PlacedItem& one : items_) {
      if (&one == &item) break;
      if (like(one)) return &one;
    }
    return nullptr;
  }

  std::vector<PlacedItem> items_;
  const Place* admin_listen_;
  Config& config_;
  Problems& problems_;
};

void Whole::add() {
  for (PlacedItem& item : items_) {
    item.item.route.keepalive.probing = !item.item.keepalive_off;
    compare_names(item);
    if (item.is("tunnel")) {
      check_tunnel(item);
      continue;
    }
    compare_listeners(item);
    if (item.is("far")) {
      check_far(item);
    } else {
      find_tunnel(item);
      check_route(item);
      check_catching(item);
    }
  }
  if (!problems_.empty()) return;
  for (PlacedItem& item : items_) keep(item);
  mark_own_connections(config_);
}

void Whole::tell(const PlacedItem& item, const RouteMistake& mistake) {
  // What it tells the lack of may be there, and wrong.
  if (item.has(mistake.lacks) && item.at(mistake.lacks) == nullptr) return;
  const Place* at =
      mistake.item ? &item.items.at(mistake.key).at(*mistake.item) : item.at(mistake.key);
  FINHOLD_CHECK(at != nullptr);
  tell(*at, std::string(mistake.key) + ": " + mistake.what);
}

void Whole::find_tunnel(PlacedItem& route) {
  const std::string& wanted = route.item.tunnel_name;
  if (wanted.empty()) return;
  std::vector<std::string_view> names;
  bool all_named = true;
  for (const PlacedItem& item : items_) {
    if (!item.is("tunnel")) continue;
    if (item.name() == wanted) route.item.route.tunnel = static_cast<int>(names.size());
    names.push_back(item.name());
    all_named = all_named && item.at("name") != nullptr;
  }
  if (route.item.route.tunnel >= 0) return;
  route.item.route.tunnel = INT_MAX;  // goes through one, which nobody knows
  if (!all_named) return;
  const auto nearest = nearest_name(wanted, names);
  tell(route, "tunnel",
       "there is no [[tunnel]] named " + in_quotes(wanted) +
           (nearest         ? "; did you mean " + in_quotes(*nearest) + "?"
            : names.empty() ? "; " + std::string(find_table("", "tunnel")->cure)
                            : "; write the name of one that this file has"));
}

void Whole::check_route(const PlacedItem& route) {
  const auto given = route.given();
  for (const RouteMistake& mistake : route_mistakes(route.item.route, given)) tell(route, mistake);
  for (const RouteMistake& mistake : door_mistakes(route.item.route, given)) tell(route, mistake);
  if (const auto mistake = nursing_mistake(route.item.route, given)) tell(route, *mistake);
}

void Whole::check_catching(const PlacedItem& route) {
  // A key that matters here is wrong in itself.
  for (const std::string_view name : {"intercept", "mark", "catch", "spare"}) {
    if (route.has(name) && route.at(name) == nullptr) return;
  }
  for (const auto& mistake : catch_mistakes(route.item.route, route.given(), config_.user)) {
    tell(route, mistake);
  }
}

void Whole::check_tunnel(const PlacedItem& tunnel) {
  const Item& item = tunnel.item;
  if (!item.near_tls.certificate.empty() && !tunnel.has("key")) {
    tell(tunnel, "certificate", R"(needs its private key; add key = "near.key")");
  }
  if (!item.near_tls.key.empty() && !tunnel.has("certificate")) {
    tell(tunnel, "key", R"(is of no use alone; add certificate = "near.pem")");
  }
  if (!item.near_tls.crl.empty() && item.near_tls.ca.empty() && !tunnel.has("ca")) {
    tell(tunnel, "crl", R"(is of what ca has; add ca = "ca.pem", or leave it out)");
  }
  if (tunnel.at("far") == nullptr) return;
  if (const auto mistake = item.tunnel.far.zone_mistake()) tell(tunnel, "far", mistake->text);
  for (const PlacedItem& route : items_) {
    const Place* listen = route.at("listen");
    if (!route.is("route") || listen == nullptr) continue;
    if (!loop_mistake(route.item.route.listen, item.tunnel.far)) continue;
    tell(tunnel, "far",
         in_quotes(item.tunnel.far.text()) + " is where " + route.words_from_afar(*listen) +
             " listens, which is no far end; write where a [[far]] listens");
  }
}

void Whole::check_far(const PlacedItem& far) {
  if (far.at("allow") != nullptr && far.item.far.allow.empty()) {
    tell(far, "allow",
         "opens nothing; write what near ends may open, such as " +
             std::string(find_key("far", "allow")->example));
  }
  if (!far.item.far_tls.crl.empty() && far.item.far_tls.client_ca.empty() &&
      !far.has("client_ca")) {
    tell(far, "crl", R"(is of what client_ca has; add client_ca = "ca.pem", or leave it out)");
  }
}

// The log tells routes and far ends apart by their names.
void Whole::compare_names(const PlacedItem& item) {
  const bool by_default = !item.has("name") && !item.name().empty();
  if (item.at("name") == nullptr && !by_default) return;
  const PlacedItem* same = earlier(item, [&](const PlacedItem& other) {
    return other.is("tunnel") == item.is("tunnel") && other.name() == item.name();
  });
  if (same == nullptr) return;
  const Place* named = same->at("name");
  const std::string all =
      same->table == item.table ? "every " + std::string(item.table->singular) : "each of them";
  tell(by_default ? item.place : *item.at("name"),
       "name: " + (by_default ? "without one it is " + in_quotes(item.name()) + ", and " : "") +
           same->words_from_afar(named != nullptr ? *named : same->place) +
           " has this name already; give " + all + " a name of its own");
}

void Whole::compare_listeners(const PlacedItem& item) {
  if (item.at("listen") == nullptr) return;
  const base::Address& address = item.item.route.listen;
  const PlacedItem* taken = earlier(item, [&](const PlacedItem& other) {
    return other.at("listen") != nullptr && listeners_overlap(other.item.route.listen, address);
  });
  if (taken != nullptr) {
    tell_taken(item, taken->item.route.listen, taken->words_from_afar(*taken->at("listen")));
  }
  if (admin_listen_ != nullptr && listeners_overlap(*config_.admin.listen, address)) {
    tell_taken(item, *config_.admin.listen,
               "[admin] on line " + std::to_string(admin_listen_->line));
  }
}

void Whole::tell_taken(const PlacedItem& item, const base::Address& by, const std::string& whose) {
  const std::string listen = in_quotes(item.item.route.listen.text());
  const std::string other = in_quotes(by.text());
  tell(item, "listen",
       listen + (listen == other ? " is taken by " : " overlaps " + other + " of ") + whose +
           "; give one of them another port");
}

void Whole::keep(PlacedItem& placed) {
  Item& item = placed.item;
  item.route.fin.vanished_after = item.route.keepalive.vanished_after();
  item.route.fin.idle = item.idle.value_or(config_.limits.idle);
  item.route.fin.closing =
      item.closing.value_or(config_.limits.closing.value_or(item.route.fin.vanished_after));
  const Place* const at_token = placed.at("token");
  const Place token = at_token != nullptr ? *at_token : Place{};
  if (placed.is("route")) {
    // A tunnel never half-closes, and both ends of it tell each other what ends.
    if (item.route.tunnel >= 0 && !placed.has("crosses"))
      item.route.fin.crosses = core::Crosses::none;
    if (allows_all(item.route)) item.route.allow.clear();
    config_.routes.push_back(std::move(item.route));
  } else if (placed.is("far")) {
    item.route.fin.crosses = core::Crosses::none;
    item.far.route = std::move(item.route);
    if (!item.tls_off) item.far.tls = std::move(item.far_tls);
    config_.fars.push_back({std::move(item.far), placed.tls, token});
  } else {
    if (item.near_tls.server_name.empty()) {
      // A certificate has addresses without an interface.
      const std::string& host = item.tunnel.far.host;
      item.near_tls.server_name = host.substr(0, host.find('%'));
    }
    if (!item.tls_off) item.tunnel.tls = std::move(item.near_tls);
    config_.tunnels.push_back({std::move(item.tunnel), placed.tls, token});
  }
}

}  // namespace

void add_items(std::vector<PlacedItem> items, const Place* admin_listen, Config& config,
               Problems& problems) {
  Whole(std::move(items), admin_listen, config, problems).add();
}

}  // namespace finhold::app
