#include "rules/nft_rules.h"

#include "base/check.h"
#include "rules/nft_table.h"

namespace finhold::rules {
namespace {

using config::any_wants_rules;
using config::Families;
using config::families_of;
using relay::Intercept;
using relay::Route;

// "ip -4 rule add priority ..." and its kind.
std::vector<std::string> policy_rule(const std::string& family, const std::string& verb) {
  const std::string mark = hex(config::divert_mark) + "/" + hex(config::divert_mark);
  return {"ip",       family,
          "rule",     verb,
          "priority", std::to_string(divert_priority),
          "fwmark",   mark,
          "lookup",   std::to_string(divert_table)};
}

std::vector<std::string> local_route(const std::string& family, const std::string& verb) {
  return {"ip",      family, "route", verb,    "local",
          "default", "dev",  "lo",    "table", std::to_string(divert_table)};
}

void add_routing(std::vector<Program>& programs, const std::string& family) {
  // Where the loopback has no IPv6 nothing can be delivered, nor does anything come.
  std::vector<std::string> unless;
  if (family == "-6") unless = {"grep", "1", "/proc/sys/net/ipv6/conf/lo/disable_ipv6"};
  programs.push_back({.words = local_route(family, "replace"), .unless = unless});
  programs.push_back(
      {.words = policy_rule(family, "add"),
       .unless = {"ip", family, "rule", "show", "table", std::to_string(divert_table)}});
}

void remove_routing(std::vector<Program>& programs, const std::string& family) {
  constexpr int enough = 8;  // none of ours is ever there twice
  programs.push_back({.words = policy_rule(family, "del"), .may_fail = true, .at_most = enough});
  programs.push_back({.words = local_route(family, "del"), .may_fail = true});
}

Families routed_families(const config::Config& config) {
  Families routed;
  for (const Route* route : routes_of(config, Intercept::tproxy)) {
    const Families families = families_of(route->listen);
    routed.v4 = routed.v4 || families.v4;
    routed.v6 = routed.v6 || families.v6;
  }
  return routed;
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

}  // namespace

std::vector<Program> programs_that_route(const config::Config& config) {
  const Families routed = routed_families(config);
  std::vector<Program> programs;
  if (routed.v4) add_routing(programs, "-4");
  if (routed.v6) add_routing(programs, "-6");
  return programs;
}

std::vector<Program> programs_that_load(const config::Config& config, TableOwner owner) {
  FINHOLD_CHECK(any_wants_rules(config));
  const Families routed = routed_families(config);
  // Routing before marks, and the other way round at the end: what is marked and not routed would
  // go on to its server, which answers packets of an unknown connection by a reset.
  std::vector<Program> programs = programs_that_route(config);
  if (!programs.empty()) {
    programs.insert(programs.begin(), {.why = "What is marked is delivered here."});
  }
  programs.push_back({.words = {"nft", "-f", "-"},
                      .input = table_of(config, owner),
                      .why = "All of the table is replaced in one step."});
  const std::string patience = patience_of(config, owner);
  if (!patience.empty()) {
    programs.push_back({.words = {"nft", "-f", "-"},
                        .input = patience,
                        .may_fail = true,
                        .why = "conntrack would forget a redirected connection 60 s after its "
                               "first FIN, but for keepalives.\nThis makes it a day. Some kernels "
                               "cannot; then keepalives have to do."});
  }
  if (!routed.v4 || !routed.v6) {
    programs.push_back({.why = "What another set may have left."});
    if (!routed.v4) remove_routing(programs, "-4");
    if (!routed.v6) remove_routing(programs, "-6");
  }
  return programs;
}

std::vector<Program> programs_that_stop_catching(const config::Config& config) {
  std::string text;
  if (!routes_of(config, Intercept::redirect).empty()) text += "flush chain inet finhold output\n";
  if (!routes_of(config, Intercept::tproxy).empty()) {
    text += "flush chain inet finhold new_connections\n";
  }
  return {{.words = {"nft", "-f", "-"}, .input = text}};
}

std::vector<Program> programs_that_remove(TableOwner owner) {
  std::vector<Program> programs;
  if (owner == TableOwner::nobody) {
    programs.push_back({.words = {"nft", "-f", "-"},
                        .input = no_table,
                        .why = "Added first, so that it is no error if there is none."});
  }
  remove_routing(programs, "-4");
  remove_routing(programs, "-6");
  return programs;
}

std::string as_script(const std::vector<Program>& programs, const std::string& heading) {
  std::string text = "#!/bin/sh\n# " + heading + "\nset -eu\nPATH=$PATH:/usr/sbin:/sbin\n";
  for (const Program& program : programs) {
    if (!program.why.empty()) {
      std::string why = "\n# " + program.why + "\n";
      for (auto at = why.find('\n', 1); at + 1 < why.size(); at = why.find('\n', at + 1)) {
        why.insert(at + 1, "# ");
      }
      text += why;
    }
    if (program.words.empty()) continue;
    std::string line = joined(program.words);
    if (!program.input.empty()) {
      text += line + (program.may_fail ? " 2>/dev/null <<'END' || true\n" : " <<'END'\n") +
              program.input + "END\n";
      continue;
    }
    if (program.at_most > 1) {
      std::string count = "1";
      for (int i = 2; i <= program.at_most; ++i) count += " " + std::to_string(i);
      line.insert(0, "for _ in " + count + "; do ").append(" 2>/dev/null || break; done");
    } else if (program.may_fail) {
      line += " 2>/dev/null || true";
    }
    if (!program.unless.empty()) {
      line.insert(0, "[ -n \"$(" + joined(program.unless) + " 2>/dev/null)\" ] || ");
    }
    text += line + "\n";
  }
  return text;
}

}  // namespace finhold::rules
