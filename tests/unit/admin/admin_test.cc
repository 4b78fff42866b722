#include <string>

#include <doctest/doctest.h>

#include "admin/http.h"
#include "admin/metrics.h"
#include "admin/site.h"
#include "admin/status_json.h"
#include "admin/status_text.h"
#include "base/side.h"

using finhold::admin::Answer;
using finhold::admin::Facts;
using finhold::admin::Reports;
using finhold::admin::Request;
using finhold::admin::Site;
using finhold::base::Flow;
using finhold::base::index;
using finhold::core::Ending;
using finhold::core::FlowState;
using finhold::core::Release;
using finhold::relay::RouteCounts;
using finhold::relay::SessionState;
using finhold::relay::Times;

namespace {

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

Facts some_facts() {
  return {.version = "1.2.3",
          .started = std::chrono::system_clock::now(),
          .up_since = std::chrono::steady_clock::now(),
          .configured = std::chrono::system_clock::time_point(std::chrono::seconds(1'800'000'000)),
          .reload_failed = true,
          .most_sessions = 100,
          .rules = {},
          .routes = {{.name = "orders",
                      .listen = "127.0.0.1:7000",
                      .server = "db.internal:5432",
                      .crosses = "server",
                      .most_sessions = 50},
                     {.name = "side", .listen = "[::]:15001", .tunnel = "dc", .crosses = "none"}}};
}

Reports some_reports() {
  Reports reports;
  reports.workers = 2;
  reports.tunnels["dc"] = {.connections = 2, .streams = 5};
  RouteCounts& orders = reports.routes["orders"];
  orders.endings[static_cast<std::size_t>(Ending::finished)] = 41;
  orders.endings[static_cast<std::size_t>(Ending::client_reset)] = 2;
  orders.bytes[index(Flow::to_server)] = 5000;
  orders.fins[index(Flow::to_server)][static_cast<std::size_t>(Release::other_ended)] = 3;
  orders.fins[index(Flow::to_client)][static_cast<std::size_t>(Release::other_ended)] = 4;
  orders.fins[index(Flow::to_server)][static_cast<std::size_t>(Release::quiet)] = 5;
  orders.fins[index(Flow::to_client)][static_cast<std::size_t>(Release::quiet)] = 6;
  orders.holds.add(2'000);
  orders.holds.add(9'000'000);
  orders.sessions = 1;
  orders.half_closed = 1;
  orders.held[index(Flow::to_server)] = 1;
  SessionState session{.id = 7,
                       .route = "orders",
                       .client = finhold::base::Address::parse("127.0.0.1:40112").value(),
                       .server = "10.0.0.5:7000",
                       .phase = SessionState::Phase::relaying,
                       .age_ms = 125'000,
                       .half_closed = true};
  session.flows[index(Flow::to_server)] = {
      .state = FlowState::held, .bytes = 5000, .ended_ms = 12'500, .held_ms = 12'000};
  session.flows[index(Flow::to_client)].blocked = true;
  reports.sessions.push_back(session);
  return reports;
}

// What a site that listens on loopback answers without asking anybody.
Answer answer_to(const std::string& request) {
  const auto parsed = finhold::admin::parse_request(request);
  REQUIRE(parsed.has_value());
  const Site site(some_facts(), true);
  return site.answer(*parsed, nullptr);
}

int status_of(const std::string& path, const std::string& host) {
  return answer_to("GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n").status;
}

}  // namespace

TEST_CASE("times are counted in the bucket of the next longer bound") {
  Times times;
  for (const std::uint64_t milliseconds : {0U, 1U, 2U, 5U, 7'200'000U, 7'200'001U}) {
    times.add(milliseconds);
  }
  CHECK(times.in_bucket(0) == 2);
  CHECK(times.in_bucket(1) == 2);
  CHECK(times.in_bucket(Times::bounds.size() - 1) == 1);
  CHECK(times.in_bucket(Times::bounds.size()) == 1);
  CHECK(times.count() == 6);
  Times more = times;
  more += times;
  CHECK(more.count() == 12);
  CHECK(more.sum() == 2 * times.sum());
}

TEST_CASE("counts of workers add up") {
  RouteCounts one = some_reports().routes.at("orders");
  one += some_reports().routes.at("orders");
  CHECK(one.endings[static_cast<std::size_t>(Ending::finished)] == 82);
  CHECK(one.bytes[index(Flow::to_server)] == 10'000);
  CHECK(one.fins[index(Flow::to_client)][static_cast<std::size_t>(Release::quiet)] == 12);
  CHECK(one.holds.count() == 4);
  CHECK(one.sessions == 2);
  CHECK(one.half_closed == 2);
  CHECK(one.held[index(Flow::to_server)] == 2);
}

TEST_CASE("metrics have every series from the start, and what was counted") {
  const std::string text = finhold::admin::metrics_text(some_facts(), some_reports(), {});
  for (const char* const line :
       {"finhold_build_info{version=\"1.2.3\"} 1\n",
        "finhold_workers 2\n",
        "finhold_config_last_reload_successful 0\n",
        "finhold_config_last_reload_success_timestamp_seconds 1800000000\n",
        "finhold_sessions{route=\"orders\"} 1\n",
        "finhold_sessions{route=\"side\"} 0\n",
        "finhold_route_sessions_limit{route=\"orders\"} 50\n",
        "finhold_sessions_total{route=\"orders\",ending=\"finished\"} 41\n",
        "finhold_sessions_total{route=\"orders\",ending=\"local-error\"} 0\n",
        "finhold_sessions_total{route=\"side\",ending=\"finished\"} 0\n",
        "finhold_bytes_total{route=\"orders\",flow=\"to_server\"} 5000\n",
        "finhold_held_fins{route=\"orders\",leg=\"server\"} 1\n",
        "finhold_held_fins{route=\"orders\",leg=\"client\"} 0\n",
        "finhold_half_closed_sessions{route=\"orders\"} 1\n",
        "finhold_fins_released_total{route=\"orders\",reason=\"server-ended\"} 3\n",
        "finhold_fins_released_total{route=\"orders\",reason=\"client-ended\"} 4\n",
        "finhold_fins_released_total{route=\"orders\",reason=\"quiet\"} 11\n",
        "finhold_fin_hold_seconds_bucket{route=\"orders\",le=\"1\"} 0\n",
        "finhold_fin_hold_seconds_bucket{route=\"orders\",le=\"2.5\"} 1\n",
        "finhold_fin_hold_seconds_bucket{route=\"orders\",le=\"7200\"} 1\n",
        "finhold_fin_hold_seconds_bucket{route=\"orders\",le=\"+Inf\"} 2\n",
        "finhold_fin_hold_seconds_sum{route=\"orders\"} 9002\n",
        "finhold_dial_seconds_count{route=\"side\"} 0\n",
        "finhold_tunnel_connections{tunnel=\"dc\"} 2\n",
        "finhold_tunnel_streams{tunnel=\"dc\"} 5\n"}) {
    CAPTURE(line);
    CHECK(contains(text, line));
  }
  CHECK_FALSE(contains(text, "finhold_route_sessions_limit{route=\"side\"}"));  // it has none
  CHECK_FALSE(contains(text, "process_open_fds"));  // nothing is told that is not known
  const std::string own =
      finhold::admin::metrics_text(some_facts(), some_reports(), finhold::admin::process_figures());
  for (const char* const name : {"process_cpu_seconds_total ", "process_resident_memory_bytes ",
                                 "process_open_fds ", "process_max_fds "}) {
    CHECK(contains(own, name));
  }
}

TEST_CASE("the JSON tells routes in order, and the state of both flows") {
  const std::string json = finhold::admin::status_json(some_facts(), some_reports(), false);
  CHECK(contains(json, R"("state":"ready")"));
  CHECK(contains(json, R"("sessions":1,"sessions_limit":100)"));
  CHECK(contains(json, R"("sessions":1,"sessions_limit":50,"dialing":0)"));
  CHECK(contains(json, R"("sessions":0,"sessions_limit":null,"dialing":0)"));
  CHECK(json.find(R"("name":"orders")") < json.find(R"("name":"side")"));
  CHECK(contains(json, R"("server":null,"tunnel":"dc")"));  // where each client was going
  CHECK(contains(json, R"("tunnels":[{"name":"dc","connections":2,"streams":5}],"fars":[])"));
  CHECK(contains(json, R"("endings":{"finished":41,"client-reset":2})"));
  CHECK(contains(json, R"("fins_released":{"server-ended":3,"quiet":11,"client-ended":4})"));
  CHECK(contains(json, R"("to_server":{"state":"held","bytes":5000,"blocked":false,)"
                       R"("ended_seconds":12.5,"held_seconds":12.0})"));
  CHECK(contains(json, R"("to_client":{"state":"flowing","bytes":0,"blocked":true})"));
  CHECK(contains(finhold::admin::status_json(some_facts(), some_reports(), true),
                 R"("state":"stopping")"));
}

TEST_CASE("a route that was removed is told of while it has sessions") {
  Reports reports = some_reports();
  for (const char* const name : {"zoo", "old"}) reports.routes[name].sessions = 3;
  reports.routes["over"].endings[static_cast<std::size_t>(Ending::finished)] = 9;
  const std::string metrics = finhold::admin::metrics_text(some_facts(), reports, {});
  CHECK(contains(metrics,
                 "finhold_sessions{route=\"orders\"} 1\nfinhold_sessions{route=\"side\"} 0\n"
                 "finhold_sessions{route=\"old\"} 3\nfinhold_sessions{route=\"zoo\"} 3\n"));
  CHECK_FALSE(contains(metrics, "\"over\""));
  const std::string json = finhold::admin::status_json(some_facts(), reports, false);
  CHECK(contains(json, R"({"name":"old","listen":"","server":null,"tunnel":null,"is_far":false,)"
                       R"("crosses":"","removed":true,"sessions":3,)"));
  CHECK(contains(json, R"("crosses":"server","removed":false,)"));
  CHECK(json.find(R"("name":"side")") < json.find(R"("name":"old")"));
  CHECK(json.find(R"("name":"old")") < json.find(R"("name":"zoo")"));
  CHECK_FALSE(contains(json, R"("name":"over")"));
  const auto text = finhold::admin::status_text(json, "", 0, 0).value_or("");
  CHECK(contains(text, "\nold (removed) "));
  CHECK_FALSE(contains(text, "orders (removed)"));
}

TEST_CASE("the JSON is JSON whatever a name is") {
  Facts facts = some_facts();
  facts.routes[0].server = "<script>\"\xff\n";
  const std::string json = finhold::admin::status_json(facts, some_reports(), false);
  CHECK(contains(json, "\"server\":\"<script>\\\"\xef\xbf\xbd\\n\""));
}

TEST_CASE("the terminal shows what is held, since when, and what ended") {
  const std::string json = finhold::admin::status_json(some_facts(), some_reports(), false);
  const auto text = finhold::admin::status_text(json, "", 0, 0);
  REQUIRE(text.has_value());
  CHECK(contains(*text, "finhold 1.2.3: ready, up "));
  CHECK(contains(*text, "s, 2 workers, 1 of at most 100 sessions open"));
  CHECK(contains(*text, "41 finished, 2 client-reset"));
  CHECK(contains(*text, "4.9 KiB, FIN held 12.0s"));
  CHECK(contains(*text, "reader is slow"));
  CHECK(contains(*text, "2m5s"));
  CHECK(contains(*text, "tunnel dc: connections 2, streams 5\n"));
  const auto narrow = finhold::admin::status_text(json, "", 20, 2);
  CHECK(*narrow == "finhold 1.2.3: ready\n\n");
}

TEST_CASE("the terminal shows rates from one answer to the next") {
  const std::string before =
      R"({"uptime_seconds":1.0,"routes":[{"name":"a","bytes":{"to_server":0,"to_client":7}}]})";
  const std::string now =
      R"({"version":"1","state":"ready","uptime_seconds":3.0,"workers":1,"sessions":0,)"
      R"("sessions_limit":9,"sessions_listed":[],"tunnels":[],"fars":[],"routes":[{"name":"a","sessions":0,"dialing":0,)"
      R"("half_closed":0,"held_fins":{"to_server":0,"to_client":0},"endings":{},)"
      R"("bytes":{"to_server":4096,"to_client":7}}]})";
  const auto text = finhold::admin::status_text(now, before, 0, 0);
  REQUIRE(text.has_value());
  CHECK(contains(*text, "2.0 KiB/s"));
  CHECK(contains(*text, "0 B/s"));
  CHECK(contains(*text, "no session is open"));
}

TEST_CASE("what is not finhold's JSON is told from it, and paints no terminal") {
  for (const char* const text : {"", "{}", "[1]", "<html>", "{\"version\":1}", "null"}) {
    CAPTURE(text);
    CHECK_FALSE(finhold::admin::status_text(text, "", 0, 0).has_value());
  }
  Facts facts = some_facts();
  facts.version = "\x1b[31m";
  const auto text = finhold::admin::status_text(
      finhold::admin::status_json(facts, some_reports(), false), "", 0, 0);
  CHECK(contains(*text, "finhold ?[31m: ready"));
  facts.version =
      "\xc2\x9b"
      "31m, \xc3\xa9";  // the same in one character, and one that is none
  const auto one = finhold::admin::status_text(
      finhold::admin::status_json(facts, some_reports(), false), "", 0, 0);
  CHECK(contains(*one, "finhold ?31m, \xc3\xa9: ready"));
}

TEST_CASE("numbers that are none of finhold's are told from those, or shown within bounds") {
  const std::string well = finhold::admin::status_json(some_facts(), some_reports(), false);
  const auto with = [&](const std::string& key, const std::string& value) {
    const auto at = well.find(key) + key.size();
    const auto text = well.substr(0, at) + value + well.substr(well.find_first_of(",}", at));
    return finhold::admin::status_text(text, "", 0, 0);
  };
  REQUIRE(with("\"id\":", "7").has_value());
  for (const char* const value : {"-1", "1e300", "\"7\"", "7.5"}) {
    CHECK_FALSE(with("\"id\":", value).has_value());
  }
  CHECK(contains(with("\"age_seconds\":", "1e300").value_or(""), "277777h46m"));
  CHECK(contains(with("\"age_seconds\":", "-1e300").value_or(""), "0.0s"));
}

TEST_CASE("requests: the path without a query, the host without a port") {
  const auto request = finhold::admin::parse_request(
      "HEAD /metrics?name=x HTTP/1.1\r\nHost: [::1]:9464\r\nAccept: */*\r\n\r\n");
  REQUIRE(request.has_value());
  CHECK(request->method == Request::Method::head);
  CHECK(request->path == "/metrics");
  CHECK(request->host == "[::1]");
  CHECK(finhold::admin::parse_request("GET / HTTP/1.0\r\n\r\n").has_value());
  CHECK_FALSE(finhold::admin::is_complete("GET / HTTP/1.1\r\nHost: x\r\n"));
  using finhold::admin::header_length;
  CHECK(header_length("a\r\n\r\nmore") == 5);
  CHECK(header_length("a\n\nmore\r\n\r\n") == 3);
  CHECK(header_length("a\r\n\nmore\n\n") == 4);
  CHECK(header_length("a\n\r\nmore\n\n") == 4);
  CHECK(header_length("a\r\nb\n") == 0);
}

TEST_CASE("what is no request of HTTP/1 is none") {
  for (const char* const text :
       {"\r\n\r\n", "\x16\x03\x01\r\n\r\n", "GET /\r\n\r\n", "GET  / HTTP/1.1\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\n", "GET / HTTP/1.1\r\nHost\r\n\r\n",
        "GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        "GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"}) {
    CAPTURE(text);
    CHECK_FALSE(finhold::admin::parse_request(text).has_value());
  }
}

TEST_CASE("paths, methods and hosts get what they should") {
  CHECK(status_of("/", "127.0.0.1:9464") == 200);
  CHECK(status_of("/", "[::1]:9464") == 200);
  CHECK(status_of("/", "localhost") == 200);
  CHECK(status_of("/readyz", "localhost") == 503);  // a route needs a tunnel, of which nobody tells
  CHECK(status_of("/status.json", "localhost:1") == 503);  // nobody has answered
  CHECK(status_of("/healthz", "localhost:1") == 503);
  CHECK(status_of("/metrics", "localhost:1") == 503);
  CHECK(status_of("/../etc/passwd", "localhost") == 404);
  CHECK(status_of("*", "localhost") == 404);
  // DNS rebinding: a page of another host's whose name points here.
  CHECK(status_of("/", "evil.example") == 403);
  CHECK(status_of("/status.json", "127.0.0.1.evil.example:9464") == 403);
  CHECK(status_of("/status.json", "localhost.evil.example:9464") == 403);
  CHECK(answer_to("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n").status == 405);

  Facts patient = some_facts();
  patient.ready_with_tunnels = false;
  Site anywhere(patient, false);
  const Request ready{.path = "/readyz", .host = "finhold.monitoring.svc"};
  CHECK(anywhere.answer(ready, nullptr).status == 200);
  anywhere.stop();
  CHECK(anywhere.answer(ready, nullptr).status == 503);
  const Reports reports = some_reports();
  CHECK(anywhere.answer({.path = "/healthz"}, &reports).status == 200);
}

TEST_CASE("the page bears a new nonce each time, and nothing else may run") {
  const Answer page = answer_to("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
  CHECK(page.nonce.size() == 32);
  CHECK_FALSE(contains(page.body, "@NONCE@"));
  CHECK(contains(page.body, "<script nonce=\"" + page.nonce + "\">"));
  CHECK(contains(page.body, "<style nonce=\"" + page.nonce + "\">"));
  CHECK(page.nonce != answer_to("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").nonce);
  for (const char* const outside : {"http://", "https://", "src=", "innerHTML", "@import"}) {
    CAPTURE(outside);
    CHECK_FALSE(contains(page.body, outside));
  }
  const std::string wire = finhold::admin::to_wire(page, true);
  CHECK(contains(wire, "default-src 'none'"));
  CHECK(contains(wire, "script-src 'nonce-" + page.nonce + "'"));
  CHECK(contains(wire, "Content-Length: " + std::to_string(page.body.size()) + "\r\n"));
  CHECK(wire.ends_with("\r\n\r\n"));  // HEAD
}

TEST_CASE("answers are read back, and those that were cut off are not") {
  const std::string wire = finhold::admin::to_wire({.status = 503, .body = "no\n"}, false);
  const auto answer = finhold::admin::parse_answer(wire);
  REQUIRE(answer.has_value());
  CHECK(answer->status == 503);
  CHECK(answer->body == "no\n");
  CHECK_FALSE(finhold::admin::parse_answer(wire.substr(0, wire.size() - 1)).has_value());
  CHECK_FALSE(finhold::admin::parse_answer("").has_value());
  CHECK_FALSE(finhold::admin::parse_answer("SSH-2.0-OpenSSH\r\n").has_value());
  const std::string length = "HTTP/1.1 200 OK\r\nContent-Length: ";
  CHECK(finhold::admin::parse_answer(length + "0\r\n\r\n")->body.empty());
  // It is believed before its bytes are there, and so has a limit.
  CHECK_FALSE(finhold::admin::parse_answer(length + "7766279631452241920\r\n\r\n{}").has_value());
  CHECK(finhold::admin::parse_answer("HTTP/1.1 200 OK\r\n\r\n{}")->body == "{}");
}
