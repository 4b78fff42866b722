#include "admin/site.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdint>
#include <string>
#include <string_view>
#include <sys/random.h>

#include "admin/metrics.h"
#include "admin/process_figures.h"
#include "admin/status_json.h"
#include "admin/status_page.h"
#include "base/address.h"

namespace finhold::admin {
namespace {

constexpr std::array<std::string_view, 3> of_workers{"/status.json", "/metrics", "/healthz"};
constexpr std::string_view nonce_place = "@NONCE@";

// Names have no case (RFC 4343), and may end with a dot.
bool is_localhost(std::string_view host) {
  constexpr std::string_view name = "localhost";
  if (host.ends_with('.')) host.remove_suffix(1);
  return host.size() == name.size() &&
         std::equal(host.begin(), host.end(), name.begin(), [](unsigned char one, char two) {
           return std::tolower(one) == static_cast<unsigned char>(two);
         });
}

// RFC 6761 section 6.3 has browsers take localhost for loopback, whatever a name server says.
bool names_a_machine_by_number(std::string_view host) {
  if (host.find('%') != std::string_view::npos) return false;  // no client sends a zone (RFC 9844)
  return host.empty() || is_localhost(host) || base::Address::parse(std::string(host) + ":0").ok();
}

// A new one for each answer, or it would be no better than none.
std::string new_nonce() {
  std::array<std::uint8_t, 16> bytes{};
  if (getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) return {};
  std::string text;
  for (const std::uint8_t byte : bytes) {
    constexpr std::string_view digits = "0123456789abcdef";
    text += digits[byte >> 4U];
    text += digits[byte & 15U];
  }
  return text;
}

Answer page() {
  Answer answer{.type = "text/html; charset=utf-8", .nonce = new_nonce()};
  std::string_view rest = status_page;
  for (auto at = rest.find(nonce_place); at != std::string_view::npos;
       at = rest.find(nonce_place)) {
    answer.body.append(rest.substr(0, at)).append(answer.nonce);
    rest.remove_prefix(at + nonce_place.size());
  }
  answer.body.append(rest);
  return answer;
}

}  // namespace

bool Site::needs_reports(const Request& request) const {
  if (refusal(request)) return false;
  if (request.path == "/readyz") return !stopping_ && asks_tunnels();
  return std::find(of_workers.begin(), of_workers.end(), request.path) != of_workers.end();
}

bool Site::asks_tunnels() const {
  return facts_.ready_with_tunnels &&
         std::any_of(facts_.routes.begin(), facts_.routes.end(),
                     [](const RouteFacts& route) { return !route.tunnel.empty(); });
}

Answer Site::readiness(const Reports& reports) const {
  for (const RouteFacts& route : facts_.routes) {
    if (route.tunnel.empty()) continue;
    const auto tunnel = reports.tunnels.find(route.tunnel);
    if (tunnel != reports.tunnels.end() && tunnel->second.connections > 0) continue;
    return {.status = 503,
            .body = "tunnel " + route.tunnel + " of route " + route.name + " has no connection\n"};
  }
  return {.body = "ready\n"};
}

std::optional<Answer> Site::refusal(const Request& request) const {
  if (request.method == Request::Method::other) {
    return Answer{.status = 405, .body = "only GET and HEAD\n"};
  }
  if (only_here_ && !names_a_machine_by_number(request.host)) {
    return Answer{.status = 403,
                  .body =
                      "write an address or localhost instead of a name: on loopback finhold "
                      "answers to nothing else\n"};
  }
  return std::nullopt;
}

Answer Site::answer(const Request& request, const Reports* reports) const {
  if (auto refused = refusal(request)) return *std::move(refused);
  const std::string& path = request.path;
  if (path == "/") return page();
  if (path == "/readyz" && stopping_) return {.status = 503, .body = "stopping\n"};
  if (path == "/readyz" && !asks_tunnels()) return {.body = "ready\n"};
  if (!needs_reports(request)) {
    return {.status = 404,
            .body = "there are / and /status.json, /metrics, /healthz and /readyz\n"};
  }
  if (reports == nullptr) {
    return {.status = 503, .body = "a worker does not answer within a second\n"};
  }
  if (path == "/readyz") return readiness(*reports);
  if (path == "/healthz") {
    if (facts_.rules && facts_.rules->missing) {
      return {.status = 503,
              .body = "the rules that divert connections are missing; the log says why\n"};
    }
    return {.body = "alive\n"};
  }
  if (path == "/metrics") {
    return {.type = "text/plain; version=0.0.4; charset=utf-8",
            .body = metrics_text(facts_, *reports, process_figures())};
  }
  return {.type = "application/json", .body = status_json(facts_, *reports, stopping_)};
}

}  // namespace finhold::admin
