// The rules of the kernel that divert connections to the routes of a configuration: an nftables
// table of finhold's own, and for tproxy the routing of what it has marked. Pure: text and programs
// to run, nothing is done. One set for a network namespace.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "app/config.h"

namespace finhold::app {

// What tproxy needs beside the table `inet finhold`. Chosen where nothing usual is:
// - One bit of the mark, set and looked at under a mask, so that marks of others keep all their
//   bits. Not in those of Kubernetes (0x4000, 0x8000), Calico's usual ones (0x000f0000), Tailscale
//   (0x00ff0000), Istio (0x539), Cilium (0x0f00) and wg-quick (0xca6c).
// - A routing table and a rule with priorities of their own. The number is that of the RFC about
//   NATs and TCP; the rule comes before those of VPNs (Tailscale: 5210 and up, wg-quick: 32764).
inline constexpr std::uint32_t divert_mark = 0x1000'0000;
inline constexpr int divert_table = 5382;
inline constexpr int divert_priority = 538;

inline constexpr const char* link_local = "fe80::/10";  // RFC 4291 section 2.5.6; never caught

// Whether rules are made for the route: it intercepts, and says what to catch.
bool wants_rules(const relay::Route& route);
bool any_wants_rules(const Config& config);

// Whether they are, and both legs of its sessions have the same addresses and ports.
bool comes_as_client(const relay::Route& route);

// Which families the listener of a route is reached by: "[::]" is both.
struct Families {
  bool v4 = false;
  bool v6 = false;
};
Families families_of(const base::Address& listen);

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
std::vector<Program> programs_that_load(const Config& config,
                                        TableOwner owner = TableOwner::nobody);

// What of it is no table: to be run again when somebody has taken it away. None: there is nothing.
std::vector<Program> programs_that_route(const Config& config);

// No new connection is diverted any more; those that were stay so. Fails if nothing is loaded.
std::vector<Program> programs_that_stop_catching(const Config& config);

// Whatever is loaded is removed; fine if nothing is. Without a table that is somebody's: that goes
// with its owner.
std::vector<Program> programs_that_remove(TableOwner owner = TableOwner::nobody);

// The same for a shell. `heading` is put above it, as a comment of that one line.
std::string as_script(const std::vector<Program>& programs, const std::string& heading);

}  // namespace finhold::app
