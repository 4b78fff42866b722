#include "server/certificates.h"

#include <algorithm>

#include "base/private_file.h"
#include "config/messages.h"
#include "tunnel/address_kind.h"

namespace finhold::server {
namespace {

using Remarks = std::vector<EndRemark>;

bool is_loopback(const base::Address& address) {
  return tunnel::kind_of(address.unmapped()) == tunnel::AddressKind::loopback;
}

bool is_loopback(const base::HostPort& far) {
  const auto address = base::Address::parse(far.text());
  return address.ok() ? is_loopback(address.value()) : far.host == "localhost";
}

EndRemark about(const config::TunnelConfig& tunnel, std::string what) {
  return {"tunnel", tunnel.settings.name, tunnel.tls, std::move(what)};
}

EndRemark about(const config::FarConfig& far, std::string what) {
  return {"far", far.settings.route.name, far.tls, std::move(what)};
}

template <typename End>
void load(const std::vector<End>& ends, std::vector<std::optional<tls::Context>>& contexts,
          Remarks& mistakes) {
  for (const End& end : ends) {
    contexts.emplace_back();
    if (!end.settings.tls) continue;
    auto loaded = tls::Context::load(*end.settings.tls);
    if (loaded.ok()) {
      contexts.back().emplace(std::move(loaded.value()));
      continue;
    }
    for (const base::Mistake& mistake : loaded.error()) {
      mistakes.push_back(about(end, mistake.text));
    }
  }
}

template <typename End>
void warn_of_certificates(const std::vector<End>& ends,
                          const std::vector<std::optional<tls::Context>>& contexts,
                          Remarks& remarks) {
  for (std::size_t i = 0; i < ends.size(); ++i) {
    if (!contexts[i]) continue;
    for (const std::string& warning : contexts[i]->warnings()) {
      remarks.push_back(about(ends[i], warning));
    }
  }
}

// In the order of the file.
Remarks sorted(Remarks remarks) {
  std::stable_sort(remarks.begin(), remarks.end(), [](const EndRemark& one, const EndRemark& two) {
    return one.place.line < two.place.line;
  });
  return remarks;
}

// 128 bits in hexadecimal digits: less can be guessed, where it was not made by chance.
constexpr std::size_t shortest_token = 32;

template <typename End>
void warn_of_token(const config::Config& config, const End& end, Remarks& remarks) {
  const std::string& token = end.settings.token;
  if (token.empty()) return;
  const auto remark = [&](std::string what) {
    remarks.push_back(about(end, std::move(what)));
    remarks.back().place = end.token;
  };
  if (token.size() < shortest_token) {
    remark(
        "token: it has " + std::to_string(token.size()) +
        " characters, so it might be guessed; \"openssl rand -hex 32\" makes one that cannot be");
  }
  if (!config.file_mode.empty()) {
    remark("token: the file has mode " + config.file_mode +
           ", so others than its owner can read it; " + base::to_make_private);
  }
}

constexpr const char* in_clear =
    "tls = \"off\": what passes is in clear, for everybody on the way to read and to change";
constexpr const char* token_in_clear =
    "tls = \"off\": the token is in clear, for everybody on the way to read and to use";

}  // namespace

base::Result<Certificates, Remarks> load_certificates(const config::Config& config) {
  Certificates certificates;
  Remarks mistakes;
  load(config.tunnels, certificates.tunnels, mistakes);
  load(config.fars, certificates.fars, mistakes);
  if (!mistakes.empty()) return sorted(std::move(mistakes));
  return certificates;
}

Remarks warnings_about_pairs(const config::Config& config, const Certificates& certificates) {
  Remarks remarks;
  for (std::size_t i = 0; i < config.tunnels.size(); ++i) {
    const config::TunnelConfig& tunnel = config.tunnels[i];
    warn_of_token(config, tunnel, remarks);
    if (std::none_of(config.routes.begin(), config.routes.end(), [i](const relay::Route& route) {
          return route.tunnel == static_cast<int>(i);
        })) {
      remarks.push_back(about(tunnel, "no route uses this tunnel; write tunnel = " +
                                          config::in_quotes(tunnel.settings.name) + " in one"));
    }
    if (tunnel.settings.tls || is_loopback(tunnel.settings.far)) continue;
    remarks.push_back(about(tunnel, in_clear));
    if (!tunnel.settings.token.empty()) remarks.push_back(about(tunnel, token_in_clear));
  }
  for (const config::FarConfig& far : config.fars) {
    warn_of_token(config, far, remarks);
    if (is_loopback(far.settings.route.listen)) continue;
    const auto& tls = far.settings.tls;
    if (!tls) remarks.push_back(about(far, in_clear));
    if (!tls && !far.settings.token.empty()) remarks.push_back(about(far, token_in_clear));
    if (far.settings.token.empty() && (!tls || tls->client_ca.empty())) {
      remarks.push_back(about(far,
                              "whoever reaches it may open what allow lists; add client_ca to its "
                              "tls, or a token"));
    }
  }
  warn_of_certificates(config.tunnels, certificates.tunnels, remarks);
  warn_of_certificates(config.fars, certificates.fars, remarks);
  return sorted(std::move(remarks));
}

}  // namespace finhold::server
