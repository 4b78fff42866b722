#include "relay/session_log.h"

#include "base/log.h"
#include "relay/session.h"

namespace finhold::relay {

namespace log = base::log;
using base::Flow;

namespace {

std::string server_text(const Session& session) {
  return session.server() != nullptr ? session.server()->text() : session.route().server.text();
}

}  // namespace

void log_ending(const Session& session) {
  if (!log::enabled(log::Level::info)) return;
  const Flow first = session.first_end();
  log::Line("session ended")
      .add("session", session.id())
      .add("route", session.route().name)
      .add("client", session.client().text())
      .add("server", server_text(session))
      .add("ending", core::name(session.ending()))
      .add("first_fin", session.any_end() ? base::name(base::source_of(first)) : "none")
      .add_seconds("held", static_cast<double>(session.held_ms()) / 1000)
      .add("released", core::name(session.policy().release(first), first))
      .add("gone", core::name(session.gone()))
      .add("to_server", session.total(Flow::to_server))
      .add("to_client", session.total(Flow::to_client))
      .add_seconds("duration", static_cast<double>(session.duration_ms()) / 1000)
      .write(log::Level::info);
}

void log_dial_failure(const Session& session, base::Error error, bool unresolved) {
  const bool no_name = unresolved && error.code == 0;
  const char* what = no_name      ? "the server's name has no address"
                     : unresolved ? "the server's name cannot be looked up; is the name server up?"
                                  : "cannot connect to the server";
  log::Line(what)
      .add("session", session.id())
      .add("route", session.route().name)
      .add("server", session.route().server.text())
      .add("error", no_name ? std::string("name not found") : error.text())
      .write(log::Level::warning);
}

}  // namespace finhold::relay
