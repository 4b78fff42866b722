#include "app/show_status.h"

#include <chrono>
#include <ostream>
#include <string>
#include <sys/ioctl.h>
#include <thread>
#include <unistd.h>

#include "admin/http_client.h"
#include "admin/status_text.h"
#include "config/messages.h"

namespace finhold::app {
namespace {

constexpr auto pause = std::chrono::seconds(2);

// One look, of which `last` is the JSON; the exit code.
int look(const StatusRequest& request, std::string& last, std::ostream& out, std::ostream& err) {
  const auto answer = admin::http_get(request.admin, "/status.json");
  if (!answer.ok()) {
    err << "finhold: " << answer.error().text << "\n";
    return 1;
  }
  if (answer.value().status == 503) {
    err << "finhold: finhold at " << request.admin.text()
        << " is not well: " << config::printable(answer.value().body.substr(0, 200)) << "\n";
    return 1;
  }
  const std::string& json = answer.value().body;
  // A screen of its own for each look, on a terminal; else one after the other.
  winsize screen{};
  const bool clears = request.watch && ioctl(STDOUT_FILENO, TIOCGWINSZ, &screen) == 0;
  const std::size_t rows = clears && screen.ws_row > 1 ? screen.ws_row - 1U : 0;
  const auto text = admin::status_text(json, last, clears ? screen.ws_col : 0, rows);
  if (answer.value().status != 200 || !text) {
    err << "finhold: what answers at " << request.admin.text()
        << " is not finhold's status page; give its address with --admin\n";
    return 1;
  }
  if (clears) out << "\x1b[H\x1b[J";
  out << (request.json ? json : *text) << (request.watch && !clears && !request.json ? "\n" : "")
      << std::flush;
  last = json;
  return 0;
}

}  // namespace

int show_status(const StatusRequest& request, std::ostream& out, std::ostream& err) {
  std::string last;
  int code = look(request, last, out, err);
  while (request.watch && out.good()) {
    std::this_thread::sleep_for(pause);
    code = look(request, last, out, err);
  }
  return code;
}

}  // namespace finhold::app
