#include "relay/session_log.h"

#include <cerrno>
#include <string>
#include <string_view>

#include "base/log.h"
#include "net/dial_source.h"
#include "relay/interception.h"
#include "relay/session.h"

namespace finhold::relay {

namespace log = base::log;
using base::Flow;

namespace {

// What can be done about a dial that failed for reasons of our own machine.
std::string cure(const base::Error& error, const Route& route) {
  const bool as_client = route.source.kind == Source::Kind::client;
  if (const char* capability = net::missing_capability(error)) {
    return std::string(": it needs ") + capability;
  }
  if (error.code == EADDRNOTAVAIL && as_client) {
    return ": an earlier session of the same client address and port is not over yet";
  }
  if (std::string_view(error.operation) != "bind") return "";
  if (error.code == EADDRINUSE && as_client) {
    return ": the client's address and port are in use on this machine: source = \"client\" is for "
           "a gateway, not for clients of its own; or something on this machine listens on that "
           "port at every address";
  }
  if (error.code == EADDRNOTAVAIL) {
    return ": this machine does not have the address in source; \"ip address\" shows those it has";
  }
  if (error.code == EAFNOSUPPORT) return ": the address in source is of the other family";
  return "";
}

// A warning that a stranger causes.
void write(log::Line& line, std::uint64_t left_out) {
  if (left_out > 0) line.add("left_out", left_out);
  line.write(log::Level::warning);
}

}  // namespace

std::string server_text(const Session& session) {
  if (session.server() != nullptr) return session.server()->text();
  return session.route().intercept == Intercept::none ? session.route().server.text() : "none";
}

void log_ending(const Session& session) {
  if (!log::enabled(log::Level::info)) return;
  const Flow first = session.first_end();
  log::Line line("session ended");
  line.add("session", session.id())
      .add("route", session.route().name)
      .add("client", session.client().text())
      .add("server", server_text(session))
      .add("ending", core::name(session.ending()))
      .add("first_fin", session.any_end() ? base::name(base::source_of(first)) : "none")
      .add_seconds("held", static_cast<double>(session.held_ms()) / 1000)
      .add("released", core::name(session.policy().release(first), first))
      .add("gone", core::name(session.gone()))
      .add("to_server", session.delivered(Flow::to_server))
      .add("to_client", session.delivered(Flow::to_client))
      .add_seconds("duration", static_cast<double>(session.duration_ms()) / 1000);
  for (const Flow flow : {Flow::to_server, Flow::to_client}) {
    if (session.taken(flow) == session.delivered(flow)) continue;
    line.add(flow == Flow::to_server ? "taken_to_server" : "taken_to_client", session.taken(flow));
  }
  if (session.quiet_ms() != 0) {
    line.add("end_needs", core::name(session.end_needs()))
        .add_seconds("quiet", static_cast<double>(session.quiet_ms()) / 1000);
  }
  if (session.route().accept_proxy) line.add("proxy", session.via().text());
  if (session.by_tunnel()) line.add("near", session.via().text());
  line.write(log::Level::info);
}

void log_dial_failure(const Session& session, base::Error error, bool unresolved,
                      std::uint64_t left_out) {
  const bool no_name = unresolved && error.code == 0;
  const std::string what = no_name ? "the server's name has no address"
                           : unresolved
                               ? "the server's name cannot be looked up; is the name server up?"
                               : "cannot connect to the server" + cure(error, session.route());
  log::Line line(what);
  line.add("session", session.id())
      .add("route", session.route().name)
      .add("server", server_text(session))
      .add("error", no_name ? std::string("name not found") : error.text());
  write(line, left_out);
}

void log_not_intercepted(const Session& session, base::Error error, std::uint64_t left_out) {
  const Route& route = session.route();
  const bool ours =
      error.code == ELOOP && std::string_view(error.operation) == from_finhold_itself.operation;
  log::Line line(
      ours ? "refused finhold's own connection, which a rule diverted back to it: let the rules "
             "spare it, by the route's mark or by finhold's user; \"finhold rules\" prints such"
      : error.code == ELOOP
          ? "refused a connection to the listener itself: it waits for connections that were going "
            "to a server and that rules of the kernel divert; let the client connect to its server"
          : "refused a connection: the kernel does not say where it was going");
  line.add("session", session.id())
      .add("route", route.name)
      .add("client", session.client().text())
      .add("listen", route.listen.text());
  if (error.code != ELOOP) line.add("error", error.text());
  write(line, left_out);
}

void log_no_memory(const Route& route, std::uint64_t left_out) {
  log::Line line("refused a connection: there is no memory for its session");
  line.add("route", route.name);
  write(line, left_out);
}

void log_untrusted(const Session& session, std::uint64_t left_out) {
  log::Line line(
      "refused: this address is not in the route's trusted, so it may not send a PROXY header");
  line.add("session", session.id())
      .add("route", session.route().name)
      .add("client", session.client().text());
  write(line, left_out);
}

void log_bad_header(const Session& session, const char* why, std::uint64_t left_out) {
  log::Line line("refused: no valid PROXY header, which accept_proxy asks for");
  line.add("session", session.id())
      .add("route", session.route().name)
      .add("client", session.client().text())
      .add("error", why);
  write(line, left_out);
}

void log_long_hold(const Session& session, std::uint64_t left_out) {
  const bool of_client = session.first_end() == Flow::to_server;
  log::Line line(std::string("the ") + (of_client ? "client" : "server") +
                 "'s end is held, and the other side talks on: if it waits for that end, write a "
                 "release_when_quiet that is shorter than its pauses, or hold_at_most");
  line.add("session", session.id())
      .add("route", session.route().name)
      .add("client", session.client().text())
      .add("server", server_text(session));
  write(line, left_out);
}

void log_lost_behind_ends(const Session& session) {
  log::Line line(
      "sessions are lost once an end has been sent on early: a box between forgets them; a pair of "
      "finholds carries the end through it");
  line.add("route", session.route().name).add("server", server_text(session));
  write(line, 0);
}

void log_refused_client(const Session& session, core::Ending why, std::uint64_t left_out) {
  const Route& route = session.route();
  const bool is_denied = why == core::Ending::client_denied;
  const bool is_rate = why == core::Ending::client_rate;
  log::Line line(is_denied ? "refused a client: by the route's allow and deny it may not connect"
                 : is_rate
                     ? "refused a client: it connects more often than connects_per_second says"
                     : "refused a client: it has sessions_per_client sessions open already");
  line.add("session", session.id()).add("route", route.name).add("client", session.client().text());
  if (route.accept_proxy) line.add("proxy", session.via().text());
  if (session.by_tunnel()) line.add("near", session.via().text());
  if (!is_denied) {
    line.add("limit", is_rate ? route.each_client.connects_per_second : route.each_client.sessions);
  }
  write(line, left_out);
}

}  // namespace finhold::relay
