#include "server/reload.h"

#include <memory>
#include <string>
#include <utility>

#include "base/log.h"
#include "config/interception_needs.h"
#include "rules/nft_rules.h"
#include "server/unreloadable_settings.h"

namespace finhold::server {

namespace log = base::log;

namespace {

void refuse(const std::string& why) {
  log::Line("cannot reload").add("error", why).write(log::Level::error);
}

std::optional<NextConfig> read_again(const ReadConfig& read_config) {
  NextConfig next = read_config();
  for (const std::string& mistake : next.mistakes) refuse(mistake);
  if (!next.config) return std::nullopt;
  if (next.path.empty()) {
    refuse("finhold was started without a file; start it with --config FILE");
    return std::nullopt;
  }
  return next;
}

// Those that the kernel should have.
std::string rules_of(const config::Config& config) {
  return config::any_wants_rules(config) ? rules::as_script(rules::programs_that_load(config), "")
                                         : "";
}

// As "finhold check" tells them.
std::optional<Certificates> read_certificates(const config::Config& config,
                                              const std::string& path) {
  auto certificates = load_certificates(config);
  if (certificates.ok()) return std::move(certificates.value());
  for (const EndRemark& mistake : certificates.error()) {
    refuse(path + ":" + std::to_string(mistake.place.line) + ":" +
           std::to_string(mistake.place.column) + ": tls: " + mistake.what);
  }
  return std::nullopt;
}

}  // namespace

std::optional<Reload> prepare_reload(const Running& running) {
  auto read = read_again(running.read_config);
  if (!read) return std::nullopt;
  auto next = std::make_shared<Generation>();
  next->config = *std::move(read->config);
  const std::string& path = read->path;
  const auto kept = keep_unreloadable_settings(running.generation.config, next->config);
  if (!passes_its_own_rules(next->config)) return std::nullopt;
  auto certificates = read_certificates(next->config, path);
  if (!certificates || !can_dial_all(next->config)) return std::nullopt;
  next->certificates = *std::move(certificates);
  const bool other_rules = rules_of(running.generation.config) != rules_of(next->config);
  if (other_rules && running.keeps_rules) {
    // The process that keeps them takes none from this one, which reads what strangers send.
    refuse("the rules that --apply-rules has loaded would be others; restart finhold for that");
    return std::nullopt;
  }
  warn_about_pairs(next->config, next->certificates);
  // Last, so that nobody connects to a socket that goes again.
  auto listening = listen_next(running.places, next->config, running.workers);
  if (!listening) return std::nullopt;
  for (const std::string_view key : kept) {
    log::Line("not changed by a reload; restart finhold for it")
        .add("key", key)
        .write(log::Level::warning);
  }
  if (other_rules) {
    const char* how = config::any_wants_rules(next->config) ? " | sh" : " --remove | sh";
    log::Line("the rules of this configuration are others; load them")
        .add("command", "finhold rules --config " + path + how)
        .write(log::Level::warning);
  }
  return Reload{std::move(next), *std::move(listening)};
}

}  // namespace finhold::server
