#include "base/log.h"

#include <array>
#include <atomic>
#include <cstdio>
#include <memory>

#include <spdlog/async.h>
#include <spdlog/async_logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>
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

std::shared_ptr<spdlog::sinks::sink> make_sink(Format format) {
  auto sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
  // The message comes with its escaped fields; for JSON it is the inside of the object.
  sink->set_formatter(std::make_unique<spdlog::pattern_formatter>(
      format == Format::json ? R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l",%v})"
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

void start(Level level, Format format) {
  FINHOLD_CHECK(logger == nullptr);
  chosen_format = format;
  chosen_level = level;
  writer_thread = std::make_shared<spdlog::details::thread_pool>(queue_lines, 1);
  auto started = std::make_shared<spdlog::async_logger>(
      "finhold", make_sink(format), writer_thread, spdlog::async_overflow_policy::overrun_oldest);
  started->set_level(in_spdlog(level));
  started->flush_on(spdlog::level::debug);
  logger = std::move(started);
}

void stop() {
  if (logger == nullptr) return;
  const std::size_t dropped = writer_thread->overrun_counter();
  logger.reset();
  writer_thread.reset();  // writes out what waits, then joins
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
