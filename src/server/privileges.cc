#include "server/privileges.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <grp.h>
#include <memory>
#include <string>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <unistd.h>
#include <vector>

#include "config/messages.h"

namespace finhold::server {
namespace {

using base::Mistake;
using Capabilities = std::vector<cap_value_t>;

struct FreeCapabilities {
  void operator()(cap_t set) const { cap_free(set); }
};
using CapabilitySet = std::unique_ptr<_cap_struct, FreeCapabilities>;

bool has(const CapabilitySet& set, cap_value_t capability, cap_flag_t which) {
  cap_flag_value_t value = CAP_CLEAR;
  return set != nullptr && cap_get_flag(set.get(), capability, which, &value) == 0 &&
         value == CAP_SET;
}

bool is_permitted(cap_value_t capability) {
  return has(CapabilitySet(cap_get_proc()), capability, CAP_PERMITTED);
}

Mistake failed(const std::string& what) { return {what + ": " + base::errno_text(errno)}; }

// What each session needs, of what there is.
Capabilities needed_by(const config::Config& config) {
  bool raw = false;
  bool low_ports = false;
  for (const relay::Route& route : config.routes) {
    // SO_MARK, and IP_TRANSPARENT for the client's address.
    const bool as_client = route.source.kind == relay::Source::Kind::client;
    raw = raw || as_client || route.own_mark() != 0;
    low_ports = low_ports || as_client;
  }
  for (const config::FarConfig& far : config.fars) raw = raw || far.settings.route.own_mark() != 0;
  for (const config::TunnelConfig& tunnel : config.tunnels) raw = raw || tunnel.settings.mark != 0;
  Capabilities needed;
  // CAP_NET_ADMIN may do the same, and much more.
  if (raw && is_permitted(CAP_NET_RAW)) {
    needed.push_back(CAP_NET_RAW);
  } else if (raw && is_permitted(CAP_NET_ADMIN)) {
    needed.push_back(CAP_NET_ADMIN);
  }
  if (low_ports && is_permitted(CAP_NET_BIND_SERVICE)) needed.push_back(CAP_NET_BIND_SERVICE);
  return needed;
}

bool is_in(const Capabilities& list, cap_value_t capability) {
  return std::find(list.begin(), list.end(), capability) != list.end();
}

// So that not even root regains anything by running a program. Needs CAP_SETPCAP, which whoever has
// little to lose may lack.
void shrink_bounding_set(const Capabilities& kept) {
  for (cap_value_t each = 0; cap_get_bound(each) >= 0; ++each) {
    if (!is_in(kept, each)) static_cast<void>(cap_drop_bound(each));
  }
}

// Those of the user database, and the user's own.
std::vector<gid_t> groups_of(const config::User& user) {
  std::vector<gid_t> groups(64);
  int count = static_cast<int>(groups.size());
  while (getgrouplist(user.name.c_str(), user.gid, groups.data(), &count) < 0) {
    if (count <= static_cast<int>(groups.size())) count = static_cast<int>(groups.size()) * 2;
    groups.resize(static_cast<std::size_t>(count));
  }
  groups.resize(static_cast<std::size_t>(count));
  return groups;
}

// Whether this process is that user, and has no group that the user has not. Fewer do no harm.
bool is_already(const config::User& user, const std::vector<gid_t>& allowed) {
  uid_t real = 0;
  uid_t effective = 0;
  uid_t saved = 0;
  if (getresuid(&real, &effective, &saved) != 0 || real != user.uid || effective != user.uid ||
      saved != user.uid) {
    return false;
  }
  gid_t real_group = 0;
  gid_t effective_group = 0;
  gid_t saved_group = 0;
  if (getresgid(&real_group, &effective_group, &saved_group) != 0) return false;
  std::vector<gid_t> groups(static_cast<std::size_t>(std::max(getgroups(0, nullptr), 0)));
  const int count = getgroups(static_cast<int>(groups.size()), groups.data());
  if (count < 0) return false;
  groups.resize(static_cast<std::size_t>(count));
  groups.insert(groups.end(), {real_group, effective_group, saved_group});
  return std::all_of(groups.begin(), groups.end(), [&allowed](gid_t each) {
    return std::find(allowed.begin(), allowed.end(), each) != allowed.end();
  });
}

// Keeps what is permitted; nothing of it is effective afterwards.
std::optional<Mistake> become(const config::User& user) {
  const std::vector<gid_t> groups = groups_of(user);
  if (is_already(user, groups)) return std::nullopt;
  if (!is_permitted(CAP_SETUID) || !is_permitted(CAP_SETGID)) {
    return Mistake{
        "user = " + config::in_quotes(user.name) +
        ": to become that user needs CAP_SETUID and CAP_SETGID; start finhold as root, or as that "
        "user, with no group that is not the user's"};
  }
  if (cap_setgroups(user.gid, groups.size(), groups.data()) != 0) {
    return failed("cannot take the groups of user " + config::in_quotes(user.name));
  }
  if (cap_setuid(user.uid) != 0)
    return failed("cannot become user " + config::in_quotes(user.name));
  return std::nullopt;
}

std::optional<Mistake> keep_only(const config::Config& config, const Capabilities& kept,
                                 bool inherited) {
  shrink_bounding_set(kept);
  if (config.user) {
    if (auto mistake = become(*config.user)) return mistake;
  }
  static_cast<void>(cap_reset_ambient());
  const CapabilitySet set(cap_init());
  const auto count = static_cast<int>(kept.size());
  if (set == nullptr) return failed("cannot drop capabilities");
  for (const cap_flag_t which : {CAP_PERMITTED, CAP_EFFECTIVE, CAP_INHERITABLE}) {
    if (count == 0 || (which == CAP_INHERITABLE && !inherited)) continue;
    cap_set_flag(set.get(), which, count, kept.data(), CAP_SET);
  }
  if (cap_set_proc(set.get()) != 0) return failed("cannot drop capabilities");
  for (const cap_value_t each : kept) {
    if (inherited && cap_set_ambient(each, CAP_SET) != 0) {
      return failed("cannot pass capabilities on");
    }
  }
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return failed("cannot set no_new_privs");
  // The kernel has taken its own choice at each of these steps.
  hide_memory(config);
  return std::nullopt;
}

// LeakSanitizer looks for leaks as a debugger of its own process, at the end.
bool looks_for_leaks() {
#ifdef __SANITIZE_ADDRESS__
  const char* const options = std::getenv("ASAN_OPTIONS");
  return options == nullptr || std::strstr(options, "detect_leaks=0") == nullptr;
#else
  return false;
#endif
}

}  // namespace

void hide_memory(const config::Config& config) {
  const bool dumpable = config.dumpable || looks_for_leaks();
  prctl(PR_SET_DUMPABLE, dumpable ? 1 : 0, 0, 0, 0);
}

bool may_change_network() {
  return has(CapabilitySet(cap_get_proc()), CAP_NET_ADMIN, CAP_EFFECTIVE);
}

std::optional<Mistake> drop_privileges(const config::Config& config) {
  return keep_only(config, needed_by(config), false);
}

std::optional<Mistake> keep_net_admin_only(const config::Config& config) {
  return keep_only(config, {CAP_NET_ADMIN}, true);
}

}  // namespace finhold::server
