#include "report.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>

namespace bench {
namespace {

double microseconds_at(std::vector<std::uint32_t>& sorted, double part) {
  if (sorted.empty()) return 0;
  const auto last = static_cast<double>(sorted.size() - 1);
  return sorted[static_cast<std::size_t>(part * last + 0.5)] / 1000.0;
}

std::string quoted(const std::string& text) {
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') result += '\\';
    result += c < ' ' ? ' ' : c;
  }
  return result + '"';
}

}  // namespace

void die(const char* what) {
  std::fprintf(stderr, "bench_load: %s: %s\n", what, std::strerror(errno));
  std::exit(3);
}

void Report::error(const std::string& what) {
  if (errors++ == 0) first_error = what;
}

void Report::latency(Clock::duration time) {
  const auto limit = std::numeric_limits<std::uint32_t>::max();
  const auto nanoseconds = std::chrono::nanoseconds(time).count();
  latencies.push_back(nanoseconds < limit ? static_cast<std::uint32_t>(nanoseconds) : limit);
}

void Report::print(const std::string& mode, double seconds, double counting_seconds,
                   double cpu_seconds) {
  std::sort(latencies.begin(), latencies.end());
  std::printf("{\"mode\": %s, \"seconds\": %.4f, \"load_cpu\": %.3f", quoted(mode).c_str(), seconds,
              cpu_seconds / seconds);
  const auto count = [](const char* name, std::uint64_t value) {
    std::printf(", \"%s\": %llu", name, static_cast<unsigned long long>(value));
  };
  count("bytes", bytes);
  count("checked", checked);
  std::printf(", \"gb_per_s\": %.4f", static_cast<double>(bytes) / seconds / 1e9);
  count("transactions", transactions);
  std::printf(", \"per_s\": %.1f", static_cast<double>(transactions) / counting_seconds);
  if (!latencies.empty()) {
    std::printf(", \"p50_us\": %.1f, \"p99_us\": %.1f, \"p999_us\": %.1f, \"max_us\": %.1f",
                microseconds_at(latencies, 0.5), microseconds_at(latencies, 0.99),
                microseconds_at(latencies, 0.999), microseconds_at(latencies, 1));
  }
  count("sessions", sessions);
  count("accepted", accepted);
  count("ends_at_client", ends_at_client);
  count("ends_at_server", ends_at_server);
  count("resets_at_client", resets_at_client);
  count("resets_at_server", resets_at_server);
  count("errors", errors);
  std::printf(", \"first_error\": %s}\n", quoted(first_error).c_str());
}

}  // namespace bench
