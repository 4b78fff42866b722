// Whole sessions in simulation; tests/README.md says what that proves, and how to run it.
#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "simulation/runs.h"
#include "simulation/scenario.h"
#include "simulation/shrink.h"

namespace {

using namespace finhold::simulation;

constexpr const char* usage =
    "usage: simulation [--runs N] [--first SEED] [--jobs N]\n"
    "       simulation --seed SEED     one run, and the smallest that shows the same mistake\n"
    "       simulation --trace SEED    one run as it is, with everything that passes the wire\n";

constexpr std::uint64_t most_mistakes = 5;  // that are told

struct Options {
  std::uint64_t first = 1;
  std::uint64_t runs = 1000;
  std::uint64_t jobs = 1;
  bool trace = false;
};

[[noreturn]] void refuse(const std::string& why) {
  static_cast<void>(std::fprintf(stderr, "simulation: %s\n%s", why.c_str(), usage));
  std::exit(2);
}

std::uint64_t number(std::string_view option, std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) {
    refuse(std::string(option) + " takes a number, not '" + std::string(text) + "'");
  }
  return value;
}

Options options_of(int count, char** arguments) {
  Options options;
  for (int i = 1; i < count; i += 2) {
    const std::string_view option = arguments[i];
    if (i + 1 == count) refuse(std::string(option) + " lacks its number, or is unknown");
    const std::uint64_t value = number(option, arguments[i + 1]);
    if (option == "--runs") {
      options.runs = value;
    } else if (option == "--jobs") {
      options.jobs = std::clamp<std::uint64_t>(value, 1, 64);
    } else if (option == "--first") {
      options.first = value;
    } else if (option == "--seed" || option == "--trace") {
      options.first = value;
      options.runs = 1;
      options.trace = option == "--trace";
    } else {
      refuse("unknown option '" + std::string(option) + "'");
    }
  }
  return options;
}

void print(const Scenario& scenario) {
  const Result through = run_through_finhold(scenario, true);
  const Result direct = run_directly(scenario, 1, 0, true);
  const auto programs = [](const Result& result) {
    return "  client: " + describe(result.seen[0]) + "\n  server: " + describe(result.seen[1]) +
           "\n";
  };
  std::printf("%s\nthrough finhold, ending=%s\n%s%s\ndirectly, without box and loss\n%s%s\n",
              describe(scenario).c_str(), through.ending.c_str(), through.trace.c_str(),
              programs(through).c_str(), direct.trace.c_str(), programs(direct).c_str());
}

// Every `step`th of the seeds. False: there were mistakes.
bool run(const Options& options, std::uint64_t begin, std::uint64_t step) {
  std::uint64_t mistakes = 0;
  const std::uint64_t end = options.first + options.runs;
  for (std::uint64_t seed = begin; seed < end && mistakes < most_mistakes; seed += step) {
    const Scenario scenario = scenario_of(seed);
    const std::string mistake = mistake_in(scenario);
    if (mistake.empty()) continue;
    ++mistakes;
    std::printf("seed %llu: %s\n", static_cast<unsigned long long>(seed), mistake.c_str());
    print(shrunk(scenario));
    static_cast<void>(std::fflush(stdout));
  }
  return mistakes == 0;
}

bool run_with_jobs(const Options& options) {
  for (std::uint64_t job = 0; job < options.jobs; ++job) {
    const pid_t child = fork();
    if (child < 0) refuse(std::string("fork: ") + std::strerror(errno));
    if (child == 0) std::exit(run(options, options.first + job, options.jobs) ? 0 : 1);
  }
  bool well = true;
  for (std::uint64_t job = 0; job < options.jobs; ++job) {
    int status = 0;
    well = wait(&status) > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0 && well;
  }
  return well;
}

}  // namespace

int main(int count, char** arguments) {
  const Options options = options_of(count, arguments);
  finhold::base::log::set_level(finhold::base::log::Level::error);
  if (options.trace) {
    const Scenario scenario = scenario_of(options.first);
    print(scenario);
    const std::string mistake = mistake_in(scenario);
    std::printf("%s\n", mistake.empty() ? "no mistake" : mistake.c_str());
    return mistake.empty() ? 0 : 1;
  }
  const bool well = options.jobs == 1 ? run(options, options.first, 1) : run_with_jobs(options);
  if (!well) return 1;
  std::printf("%llu runs, no mistake\n", static_cast<unsigned long long>(options.runs));
  return 0;
}
