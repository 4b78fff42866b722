#include "server/unreloadable_settings.h"

namespace finhold::server {

std::vector<std::string_view> keep_unreloadable_settings(const config::Config& running,
                                                         config::Config& next) {
  std::vector<std::string_view> kept;
  const auto keep = [&kept](std::string_view key, const auto& value, auto& wanted) {
    if (wanted == value) return;
    kept.push_back(key);
    wanted = value;
  };
  // Privileges were given up for good.
  keep("user", running.user, next.user);
  keep("dumpable", running.dumpable, next.dumpable);
  keep("admin.listen", running.admin.listen, next.admin.listen);
  keep("log.format", running.log.format, next.log.format);
  // Threads, and what each of them has set aside for its sessions.
  keep("limits.workers", running.limits.workers, next.limits.workers);
  keep("limits.buffer_per_flow", running.limits.buffer_per_flow, next.limits.buffer_per_flow);
  keep("limits.splice", running.limits.splice, next.limits.splice);
  keep("limits.tunnel_window", running.limits.tunnel_window, next.limits.tunnel_window);
  return kept;
}

}  // namespace finhold::server
