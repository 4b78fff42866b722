// Every key that a configuration file may have, in one table. The reader of the file, the flags of
// the command line, the suggestions for a misspelt key and every list of known keys come from it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/duration.h"
#include "base/network.h"
#include "config/config.h"
#include "config/section.h"
#include "relay/route.h"

namespace finhold::config {

enum class Kind : std::uint8_t {
  name,           // 1 to 64 letters, digits, "_", "." and "-"
  truth,          // true or false
  choice,         // one of Key::choices
  count,          // a whole number
  count_or_auto,  // a whole number, or "auto" (stored as 0)
  count_or_none,  // a whole number, or "unlimited" (stored as 0)
  size,           // "256KiB"
  duration,       // "10s"
  whole_seconds,  // a duration that the kernel takes in seconds
  limit,          // a duration, or "never"
  limit_or_auto,  // the same, or "auto" (stored with the number 1)
  listen,         // a numeric address and a port
  listen_or_not,  // the same, or ""
  server,         // a name or a numeric address, and a port
  source,         // "self", "client" or a numeric address
  networks,       // a list of "10.0.0.0/8"; it may be empty
  user,           // the name of a user of this machine, or ""
  traffic,        // a list of "10.0.0.0/8:514" and "user:NAME"
  tunnel,         // the name of a [[tunnel]], or ""
  host,           // a name or a numeric address, or ""
  path,           // of a file, or ""
  secret,         // the credentials of RFC 6750, or ""; never repeated to anybody
  destinations,   // a list of "10.0.0.0/8:514" and "db.internal:5432"
};

// Whether a file has an array of strings there. All that is said of one value below then holds for
// each of its items; a list may be empty, and that is the default of every list that is not
// required, but for the `allow` of a route.
constexpr bool is_list(Kind kind) {
  return kind == Kind::networks || kind == Kind::traffic || kind == Kind::destinations;
}

// What a key was given, once parsed; each kind fills the member that it is about.
struct Value {
  std::uint64_t number = 0;       // truth, counts, size; the index of a choice, or of source
  base::Limit duration = {};      // duration, whole_seconds, limit
  std::string text = {};          // name, tunnel, host, path, secret
  base::Address address = {};     // listen, listen_or_not, source
  base::HostPort host_port = {};  // server
  std::optional<base::Network> network = {};  // networks: one of them
  std::optional<User> user = {};              // user
  relay::Traffic traffic = {};                // traffic: one of them
  tunnel::AllowEntry allow = {};              // destinations: one of them
};

// Where values go: a key of [[route]], [[tunnel]], [[far]] and their tables to the section, any
// other to the config.
struct Target {
  Config& config;
  Section& section;
};

struct Key {
  std::string_view table;  // Table::path, or "": above all tables
  std::string_view name;
  Kind kind;
  bool required = false;  // `server`: unless the route intercepts
  // As a file has it. Unless the key is required, this is its default.
  std::string_view example = {};
  std::string_view meaning = {};  // one line
  // Of a number, of the bytes of a size, of the milliseconds of a duration.
  std::uint64_t lowest = 0;
  std::uint64_t highest = UINT64_MAX;
  std::span<const std::string_view> choices = {};
  // Of a list: once for each of its items, which it adds to those before.
  void (*store)(const Value& value, Target& to) = nullptr;
};

struct Table {
  std::string_view path;     // "route.fin"
  std::string_view heading;  // as a file has it: "[route.fin]"; "keepalive of [[far]]"
  std::string_view parent;   // the path of the table that it stands in, or ""
  std::string_view name;     // its name in there: "fin"
  bool required = false;     // in its parent
  // How it is written as a value, if that is usual, and the string that may stand there instead.
  // With a key of the same name beside it, the table may stand in place of that key's value.
  std::string_view example = {};
  std::string_view or_text = {};
  std::string_view cure = {};      // what to do if there is none of it or a wrong one
  std::string_view singular = {};  // in words; of one that a file may have several of, as [[route]]

  [[nodiscard]] bool has_header() const { return heading.starts_with('['); }
  [[nodiscard]] bool is_section() const { return !singular.empty(); }
};

std::span<const Key> known_keys();
std::span<const Table> known_tables();

// Those of the tables `tunnel` and `far`, which known_keys() has too.
std::span<const Key> keys_of_pair();

// Nothing if there is none.
const Key* find_key(std::string_view table, std::string_view name);
const Table* find_table(std::string_view parent, std::string_view name);

// Requires a path of known_tables(), or "", which is the top of a file.
std::string_view heading_of(std::string_view path);

// What may stand in a table: its keys and the tables in it.
std::vector<std::string_view> names_in(std::string_view path);

}  // namespace finhold::config
