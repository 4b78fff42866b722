// The rules of the kernel that divert connections to the routes of a configuration: an nftables
// table of finhold's own, and for tproxy the routing of what it has marked. Pure: text and programs
// to run, nothing is done. One set for a network namespace.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "config/config.h"
#include "config/interception_needs.h"

namespace finhold::rules {

// What tproxy needs beside the table `inet finhold` and config::divert_mark: a routing table and a
// rule with priorities of their own. The number is that of the RFC about NATs and TCP; the rule
// comes before those of VPNs (Tailscale: 5210 and up, wg-quick: 32764).
inline constexpr int divert_table = 5382;
inline constexpr int divert_priority = 538;

// A program and how it is run. Those of one list are run in their order.
struct Program {
  std::vector<std::string> words =
      {};                  // without spaces, quotes and what else a shell would interpret
  std::string input = {};  // its standard input
  bool may_fail = false;   // nothing is said, and the next one is run
  int at_most = 1;         // run until it fails, this often
  std::vector<std::string> unless =
      {};  // another program: if it succeeds and writes something, this one is not run
  std::string why = {};  // a sentence for a reader of the script
};

// Whose the table is.
enum class TableOwner : std::uint8_t {
  nobody,  // it stays when who has loaded it ends, and everybody may change it
  loader,  // it goes with the netlink socket that has loaded it, and only that one may change it
};

// Requires any_wants_rules(). Replaces whatever set was there that is nobody's, without a moment
// without rules.
std::vector<Program> programs_that_load(const config::Config& config,
                                        TableOwner owner = TableOwner::nobody);

// What of it is no table: to be run again when somebody has taken it away. None: there is nothing.
std::vector<Program> programs_that_route(const config::Config& config);

// No new connection is diverted any more; those that were stay so. Fails if nothing is loaded.
std::vector<Program> programs_that_stop_catching(const config::Config& config);

// Whatever is loaded is removed; fine if nothing is. Without a table that is somebody's: that goes
// with its owner.
std::vector<Program> programs_that_remove(TableOwner owner = TableOwner::nobody);

// The same for a shell. `heading` is put above it, as a comment of that one line.
std::string as_script(const std::vector<Program>& programs, const std::string& heading);

}  // namespace finhold::rules
