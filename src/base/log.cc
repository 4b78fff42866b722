#include "base/log.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <climits>
#include <spdlog/async.h>
#include <spdlog/async_logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>

#include "base/check.h"

namespace finhold::base::log {
namespace {

constexpr std::size_t queue_lines = 8192;

std::atomic<Format> chosen_format{Format::text};
std::atomic<Level> chosen_level{Level::info};

std::shared_ptr<spdlog::details::thread_pool> writer_thread;  // set while the log is started
std::shared_ptr<spdlog::logger> logger;

spdlog::level::level_enum in_spdlog(Level level) {
  switch (level) {
    case Level::debug:
      return spdlog::level::debug;
    case Level::info:
      return spdlog::level::info;
    case Level::warning:
      return spdlog::level::warn;
    case Level::error:
      return spdlog::level::err;
  }
  return spdlog::level::off;
}

// Set but while the log is started: a reader of standard error that does not read must hold up
// neither the start nor the end of finhold.
std::atomic<bool> stopping{true};
constexpr auto patience_at_the_end = std::chrono::seconds(1);
// That has passed: no line waits any more, of those that are left and that come.
std::atomic<bool> given_up{false};

// Whether standard error is systemd's journal, which has a time of its own for each line
// (systemd.exec(5), JOURNAL_STREAM).
bool is_journal() {
  static const bool found = [] {
    const char* const journal = std::getenv("JOURNAL_STREAM");  // NOLINT(concurrency-mt-unsafe)
    struct stat status {};
    if (journal == nullptr || fstat(STDERR_FILENO, &status) != 0) return false;
    return journal == std::to_string(status.st_dev) + ":" + std::to_string(status.st_ino);
  }();
  return found;
}

// sd-daemon(3): what "journalctl -p" chooses by.
std::string_view priority_of(spdlog::level::level_enum level) {
  switch (level) {
    case spdlog::level::debug:
      return "<7>";
    case spdlog::level::warn:
      return "<4>";
    case spdlog::level::err:
      return "<3>";
    default:
      return "<6>";
  }
}

// Writes lines to standard error, and waits for room in it only until the log is stopped. It is not
// made non-blocking instead, since other processes may share it.
class ErrorSink final : public spdlog::sinks::base_sink<std::mutex> {
 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t line;
    if (cut_) line.push_back('\n');
    if (is_journal()) line.append(priority_of(message.level));
    formatter_->format(message, line);
    const std::string_view whole(line.data(), line.size());
    std::string_view rest = whole;
    while (!rest.empty() && wait_for_room()) {
      // With room in a pipe, PIPE_BUF bytes can be written without waiting (pipe(7)).
      const ssize_t written =
          write(STDERR_FILENO, rest.data(), std::min<std::size_t>(rest.size(), PIPE_BUF));
      if (written < 0 && errno != EINTR) break;
      if (written > 0) rest.remove_prefix(static_cast<std::size_t>(written));
    }
    // A disk that is full takes the beginning; the next line is not to stand behind that.
    cut_ = !rest.empty() && (cut_ || rest.size() < whole.size());
  }

  void flush_() override {}

  // False: there will be none in time.
  bool wait_for_room() {
    pollfd standard_error{STDERR_FILENO, POLLOUT, 0};
    while (poll(&standard_error, 1, given_up ? 0 : 50) == 0) {
      if (given_up) return false;
      if (!stopping) continue;
      const auto now = std::chrono::steady_clock::now();
      if (give_up_at_ == std::chrono::steady_clock::time_point{})
        give_up_at_ = now + patience_at_the_end;
      if (now >= give_up_at_) given_up = true;
    }
    return true;
  }

  std::chrono::steady_clock::time_point give_up_at_;
  bool cut_ = false;
};

std::shared_ptr<spdlog::sinks::sink> make_sink(Format format) {
  auto sink = std::make_shared<ErrorSink>();
  // The message comes with its escaped fields; for JSON it is the inside of the object.
  sink->set_formatter(std::make_unique<spdlog::pattern_formatter>(
      format == Format::json ? R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l",%v})"
      : is_journal()         ? "%l %v"
                             : "%Y-%m-%dT%H:%M:%S.%eZ %l %v",
      spdlog::pattern_time_type::utc));
  return sink;
}

// Writes at once: for lines before start() and after stop().
spdlog::logger& direct_logger(Format format) {
  static spdlog::logger text("finhold", make_sink(Format::text));
  static spdlog::logger json("finhold", make_sink(Format::json));
  return format == Format::json ? json : text;
}

// Appends a value as a JSON string, or as text: bare if it has no space, quote or control
// character.
void append_quoted(std::string& out, std::string_view value, bool always) {
  const bool bare =
      !always && !value.empty() && value.find_first_of(" \"\\=") == std::string_view::npos &&
      value.find_first_of(std::string_view("\0\x01\x02\x03\x04\x05\x06\x07\b\t\n\v\f\r"
                                           "\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17"
                                           "\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f\x7f",
                                           33)) == std::string_view::npos;
  if (bare) {
    out += value;
    return;
  }
  out += '"';
  for (const char c : value) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      std::array<char, 8> escape{};
      static_cast<void>(std::snprintf(escape.data(), escape.size(), "\\u%04x",
                                      static_cast<unsigned>(static_cast<unsigned char>(c))));
      out += escape.data();
    } else {
      out += c;
    }
  }
  out += '"';
}

bool as_json() { return chosen_format.load(std::memory_order_relaxed) == Format::json; }

}  // namespace

void configure(Level level, Format format) {
  FINHOLD_CHECK(logger == nullptr);
  chosen_format = format;
  chosen_level = level;
}

void set_level(Level level) {
  chosen_level = level;
  if (logger != nullptr) logger->set_level(in_spdlog(level));
}

void start() {
  FINHOLD_CHECK(logger == nullptr);
  const Format format = chosen_format;
  stopping = false;
  given_up = false;
  writer_thread = std::make_shared<spdlog::details::thread_pool>(queue_lines, 1);
  auto started = std::make_shared<spdlog::async_logger>(
      "finhold", make_sink(format), writer_thread, spdlog::async_overflow_policy::overrun_oldest);
  started->set_level(in_spdlog(chosen_level));
  started->flush_on(spdlog::level::debug);
  logger = std::move(started);
}

void stop() {
  if (logger == nullptr) return;
  const std::size_t dropped = writer_thread->overrun_counter();
  stopping = true;
  writer_thread.reset();  // writes out what waits, then joins
  logger.reset();
  if (dropped > 0) {
    Line("log lines dropped because standard error was too slow")
        .add("lines", dropped)
        .write(Level::warning);
  }
}

bool enabled(Level level) { return level >= chosen_level.load(std::memory_order_relaxed); }

Line::Line(std::string_view message) {
  text_.reserve(400);
  if (as_json()) {
    text_ += "\"message\":";
    append_quoted(text_, message, true);
  } else {
    text_ += message;
  }
}

void Line::begin(std::string_view key) {
  if (as_json()) {
    text_ += ",\"";
    text_ += key;
    text_ += "\":";
  } else {
    text_ += ' ';
    text_ += key;
    text_ += '=';
  }
}

Line& Line::add(std::string_view key, std::string_view value) {
  begin(key);
  append_quoted(text_, value, as_json());
  return *this;
}

Line& Line::add(std::string_view key, std::uint64_t value) {
  begin(key);
  text_ += std::to_string(value);
  return *this;
}

Line& Line::add_seconds(std::string_view key, double seconds) {
  begin(key);
  std::array<char, 40> number{};
  static_cast<void>(
      std::snprintf(number.data(), number.size(), as_json() ? "%.3f" : "%.1fs", seconds));
  text_ += number.data();
  return *this;
}

void Line::write(Level level) {
  if (!enabled(level)) return;
  spdlog::logger& target = logger != nullptr ? *logger : direct_logger(chosen_format);
  target.log(in_spdlog(level), spdlog::string_view_t(text_.data(), text_.size()));
}

}  // namespace finhold::base::log
