// The log: lines of named fields, as text or as JSON, to standard error. This header is all that
// other files see of spdlog.
//
// Lines are written by a thread of their own, so that a slow reader of standard error (a full pipe,
// a stopped terminal) never stalls the data path: when 8192 lines wait, the oldest is dropped and
// the number of dropped lines is told at the end. Every function may be called on any thread.
//
// Where standard error is systemd's journal (JOURNAL_STREAM) each line begins with its priority
// ("<6>", sd-daemon(3)), and as text it has no time: the journal has one.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace finhold::base::log {

enum class Level : std::uint8_t { debug, info, warning, error };
enum class Format : std::uint8_t { text, json };

// What is written, and how; at first level info and above, as text. Not while other threads log.
void configure(Level level, Format format);

// The level alone, at any time.
void set_level(Level level);

// Starts the thread; before it, lines are written at once. Not while other threads log.
void start();

// Writes out what waits, for a second at most if standard error is not being read, and stops the
// thread. Later lines are written at once. Not while other threads log.
void stop();

// Whether a line of that level would be written: ask before building an expensive one.
[[nodiscard]] bool enabled(Level level);

// One line under construction; it is written by write(), or not at all. Values are escaped as the
// format needs. Keys are literals in lower_snake_case; the keys and their order are a contract with
// readers.
//
//   log::Line("session ended").add("session", 4711).add("route", "orders").write(Level::info);
//
// gives as text   2026-11-22T12:00:00.123Z info session ended session=4711 route=orders
// and as JSON     {"time":"2026-11-22T12:00:00.123Z","level":"info","message":"session ended",
//                  "session":4711,"route":"orders"}
class Line {
 public:
  explicit Line(std::string_view message);

  Line& add(std::string_view key, std::string_view value);
  Line& add(std::string_view key, std::uint64_t value);
  // A span of time: "118.2s" as text, 118.234 (seconds) as JSON.
  Line& add_seconds(std::string_view key, double seconds);

  void write(Level level);

 private:
  void begin(std::string_view key);

  std::string text_;
};

// Lines without fields.
inline void debug(std::string_view message) { Line(message).write(Level::debug); }
inline void info(std::string_view message) { Line(message).write(Level::info); }
inline void warning(std::string_view message) { Line(message).write(Level::warning); }
inline void error(std::string_view message) { Line(message).write(Level::error); }

}  // namespace finhold::base::log
