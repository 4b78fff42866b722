// Any bytes as what a browser, or somebody worse, sends to [admin]: never a crash, an answer that
// is one answer whatever was asked, and on loopback nothing for a page whose own name points here.
#include <arpa/inet.h>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <strings.h>

#include "admin/http.h"
#include "admin/site.h"
#include "base/check.h"

using finhold::admin::Answer;
using finhold::admin::Facts;
using finhold::admin::Reports;
using finhold::admin::Request;
using finhold::admin::Site;

namespace {

constexpr std::string_view end_of_header = "\r\n\r\n";

Facts facts() {
  Facts some;
  some.version = "1.2.3";
  some.routes = {{.name = "orders", .listen = "127.0.0.1:7000"}};
  return some;
}

bool is_this_machine_by_number(std::string host) {
  if (host.empty() || strcasecmp(host.c_str(), "localhost") == 0 ||
      strcasecmp(host.c_str(), "localhost.") == 0) {
    return true;
  }
  in_addr v4{};
  in6_addr v6{};
  if (inet_pton(AF_INET, host.c_str(), &v4) == 1) return true;
  if (host.front() != '[' || host.back() != ']') return false;
  host = host.substr(1, host.size() - 2);
  return inet_pton(AF_INET6, host.c_str(), &v6) == 1;
}

void check_wire(const Answer& answer) {
  const std::string whole = finhold::admin::to_wire(answer, false);
  const auto read = finhold::admin::parse_answer(whole);
  FINHOLD_CHECK(read && read->status == answer.status && read->body == answer.body);
  // RFC 9110 section 9.3.2: HEAD has the same fields.
  const auto end = whole.find(end_of_header) + end_of_header.size();
  FINHOLD_CHECK(finhold::admin::to_wire(answer, true) == whole.substr(0, end));
}

void ask(const Site& site, const Request& request, bool only_here) {
  static const Reports reports;
  const Answer without = site.answer(request, nullptr);
  const Answer with = site.answer(request, &reports);
  check_wire(without);
  check_wire(with);
  const bool refused = with.status == 403 || with.status == 405;
  FINHOLD_CHECK(!site.needs_reports(request) || (without.status == 503 && with.status == 200));
  FINHOLD_CHECK(refused || request.method != Request::Method::other);
  FINHOLD_CHECK(refused || !only_here || is_this_machine_by_number(request.host));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (size > finhold::admin::largest_request || !finhold::admin::is_complete(text)) return 0;
  const std::optional<Request> request = finhold::admin::parse_request(text);
  if (!request) return 0;
  for (const char c : request->path) {
    FINHOLD_CHECK(c != '?' && c != ' ' && (static_cast<unsigned char>(c) > 0x20U) && c != 0x7f);
  }
  // What follows the header does not count.
  const std::string header(text.substr(0, finhold::admin::header_length(text)));
  const auto again = finhold::admin::parse_request(header);
  FINHOLD_CHECK(again && again->path == request->path && again->host == request->host &&
                again->method == request->method);
  ask(Site(facts(), true), *request, true);
  ask(Site(facts(), false), *request, false);
  return 0;
}
