// The load generator: clients and the server in one process and one epoll loop, every byte checked.
//
//   bench_load MODE --target ADDRESS:PORT --listen ADDRESS:PORT [--seconds 2] ...
//
//   bulk   --streams N --direction up|down|both [--sample]   as many bytes as go through
//   rr     --connections N [--request B --response B]        request/response, N sessions
//   crr    --connections N                                   a new connection per transaction, N at
//   a time mixed  --streams N --connections N                       bulk beside rr; latencies are
//   those of rr idle   --connections N      N sessions that stay after one transaction; says
//   {"held": N} and waits for
//                               a line, or the end, on its standard input
//   churn  --total N --connections N                         N short sessions that end in three
//   ways
//
// Prints one line of JSON. Exit code 0: every byte and every end was right; 1: not; 2: wrong usage;
// 3: the load generator cannot go on.
#include <algorithm>
#include <arpa/inet.h>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <poll.h>
#include <string_view>
#include <sys/resource.h>
#include <unistd.h>

#include "bulk.h"
#include "exchange.h"
#include "run.h"

namespace bench {
namespace {

constexpr double kGrace = 15;            // seconds that what was begun may take to end
constexpr std::uint32_t kStarting = 64;  // idle sessions that begin at a time

[[noreturn]] void usage(const std::string& what) {
  std::fprintf(stderr, "bench_load: %s (usage: the comment at the top of load.cc)\n", what.c_str());
  std::exit(2);
}

sockaddr_in address_of(const std::string& text) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  const std::size_t colon = text.rfind(':');
  if (colon == std::string::npos ||
      inet_pton(AF_INET, text.substr(0, colon).c_str(), &address.sin_addr) != 1) {
    usage("'" + text + "' is not an IPv4 ADDRESS:PORT");
  }
  const int port = std::atoi(text.c_str() + colon + 1);
  if (port < 1 || port > 65535) usage("'" + text + "' has no port");
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  return address;
}

std::uint32_t number_of(const std::string& text, std::uint32_t least, std::uint32_t most) {
  char* end = nullptr;
  const unsigned long value = std::strtoul(text.c_str(), &end, 10);
  if (text.empty() || *end != '\0' || value < least || value > most) {
    usage("'" + text + "' is not a number from " + std::to_string(least) + " to " +
          std::to_string(most));
  }
  return static_cast<std::uint32_t>(value);
}

Options parse(int argc, char** argv) {
  Options options;
  if (argc < 2) usage("no mode");
  options.mode = argv[1];
  for (int i = 2; i < argc; ++i) {
    const std::string_view name = argv[i];
    if (name == "--sample") {
      options.sample = true;
      continue;
    }
    if (i + 1 == argc) usage(std::string(name) + " needs a value");
    const std::string value = argv[++i];
    if (name == "--target") {
      options.target = address_of(value);
    } else if (name == "--listen") {
      options.listen = address_of(value);
    } else if (name == "--seconds") {
      options.seconds = std::atof(value.c_str());
      if (!(options.seconds > 0 && options.seconds <= 3600)) usage("--seconds is 0 to 3600");
    } else if (name == "--streams") {
      options.streams = number_of(value, 1, 10000);
    } else if (name == "--connections") {
      options.connections = number_of(value, 1, 100000);
    } else if (name == "--total") {
      options.total = number_of(value, 1, 100000000);
    } else if (name == "--request") {
      options.request = number_of(value, sizeof(Header), kMostRequest);
    } else if (name == "--response") {
      options.response = number_of(value, 1, 16384);
    } else if (name == "--sources") {
      options.sources = number_of(value, 0, 65000);
    } else if (name == "--pace-us") {
      options.pace = number_of(value, 1, 1000000) / 1e6;
    } else if (name == "--chunk") {
      options.chunk = number_of(value, kMostRequest, kChunk);
    } else if (name == "--direction") {
      options.up = value == "up" || value == "both";
      options.down = value == "down" || value == "both";
      if (!options.up && !options.down) usage("--direction is up, down or both");
    } else {
      usage("unknown option " + std::string(name));
    }
  }
  if (options.target.sin_port == 0 || options.listen.sin_port == 0) {
    usage("--target and --listen are needed");
  }
  return options;
}

bool line_arrived() {
  pollfd input = {STDIN_FILENO, POLLIN, 0};
  return poll(&input, 1, 0) > 0;
}

double cpu_seconds() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

class Session {
 public:
  explicit Session(Run& run) : run_(run), mode_(run.options.mode) {
    const bool bulk = mode_ == "bulk" || mode_ == "mixed";
    if (!bulk && mode_ != "rr" && mode_ != "crr" && mode_ != "idle" && mode_ != "churn") {
      usage("unknown mode '" + mode_ + "'");
    }
    if (mode_ == "mixed") {
      // A turn of ours must be short beside the latency that is measured.
      run.options.chunk = std::min<std::size_t>(run.options.chunk, 64 * 1024);
      if (run.options.pace == 0) run.options.pace = 0.004;
    }
    if (mode_ != "crr" && mode_ != "churn" && mode_ != "idle") run.options.sources = 0;
    if (mode_ != "churn") run.options.total = 0;
    if (mode_ == "churn" && run.options.total == 0) run.options.total = 100000;
  }

  void start() {
    const Options& options = run_.options;
    const auto seconds = std::chrono::duration<double>(options.seconds);
    run_.deadline = Clock::now() + std::chrono::duration_cast<Clock::duration>(seconds);
    if (mode_ == "bulk" || mode_ == "mixed") {
      for (std::uint32_t id = 0; id < options.streams; ++id) start_bulk_client(run_, id);
    }
    if (mode_ == "rr" || mode_ == "mixed") {
      for (std::uint32_t id = 0; id < options.connections; ++id) {
        start_exchange_client(run_, id, Then::end);
      }
    }
    if (mode_ == "crr" || mode_ == "churn") {
      for (std::uint32_t id = 0; id < options.connections; ++id) {
        start_exchange_client(run_, id, Then::close);
      }
    }
  }

  // Whether all is done, once nothing is open any more.
  bool proceed() {
    if (mode_ != "idle") return true;
    if (run_.released) return true;
    const Report& report = run_.report;
    while (report.sessions < run_.options.connections && report.sessions - run_.held < kStarting) {
      start_exchange_client(run_, static_cast<std::uint32_t>(report.sessions), Then::hold);
    }
    if (run_.held < run_.options.connections) return false;
    if (!announced_) {
      std::printf("{\"held\": %llu}\n", static_cast<unsigned long long>(run_.held));
      std::fflush(stdout);
      announced_ = true;
    }
    if (line_arrived()) release_held(run_);
    return false;
  }

 private:
  Run& run_;
  std::string mode_;
  bool announced_ = false;
};

int run_load(const Options& options) {
  const auto run = std::make_unique<Run>();
  run->options = options;
  Session session(*run);
  start_server(*run);

  const Clock::time_point start = Clock::now();
  const double cpu_before = cpu_seconds();
  session.start();
  const Report& report = run->report;
  for (;;) {
    run->loop.turn(resume_paused(*run));
    const bool complete = session.proceed() && run->open_at_client == 0 &&
                          run->open_at_server == 0 && report.accepted == report.sessions;
    if (complete) break;
    const double limit = report.errors != 0 ? 0 : options.seconds + kGrace;
    if (seconds_since(start) > limit) {
      if (report.errors == 0) {
        run->report.error("stuck: " + std::to_string(run->open_at_client) + " client ends and " +
                          std::to_string(run->open_at_server) + " server ends are open, " +
                          std::to_string(report.sessions - report.accepted) +
                          " sessions never reached the server");
      }
      break;
    }
  }
  const double seconds = seconds_since(start);
  run->report.print(run->options.mode, seconds, run->options.total != 0 ? seconds : options.seconds,
                    cpu_seconds() - cpu_before);
  return report.errors == 0 ? 0 : 1;
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  return bench::run_load(bench::parse(argc, argv));
}
