// How a command line is read. Private to app/cli*.cc: CLI11 is heavy.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include <CLI/CLI.hpp>

#include "app/cli.h"
#include "config/config.h"
#include "config/keys.h"
#include "config/section.h"

namespace finhold::app {

struct Flag;

class CommandLine {
 public:
  CommandLine(std::ostream& out, std::ostream& err);
  Command parse(int argc, const char* const* argv);

 private:
  static constexpr int bad_usage = 2;           // exit code
  static constexpr std::size_t flag_count = 8;  // of `run`, that stand for keys

  // A subcommand each: its flags, and what was asked for with them.
  void add_run();
  void add_check();
  void add_rules();
  void add_status();
  Command run();
  Command check();
  Command rules();
  Command status();

  Command no_rules_needed();
  Command bad_words(const std::vector<std::string>& words);
  Command bad_values(const std::string& said_by_parser);
  std::string about_flag(const CLI::App* behind, const std::string& name) const;

  // Reads the flags into the config and the route of the section; tells of those that are wrong.
  bool store_flags(config::Config& config, config::Section& section);
  bool store_flag(const Flag& flag, const config::Key& key, std::string_view text,
                  config::Target& to);
  bool store_table_flag(const Flag& flag, std::string_view text, config::Target& to);
  std::optional<config::Config> load();

  [[nodiscard]] bool given(std::size_t flag) const { return options_.at(flag)->count() > 0; }

  static std::string needs_value(const std::string& flag) {
    return flag + " needs a value behind it";
  }

  // Ends it all: one line that begins with the name of the program.
  Command refuse(const std::string& what) {
    err_ << "finhold: " << what << "\n";
    return {.exit_code = bad_usage};
  }

  std::ostream& out_;
  std::ostream& err_;
  CLI::App app_{"A transparent TCP proxy that keeps half-close working through NATs and firewalls.",
                "finhold"};
  CLI::App* run_ = nullptr;
  CLI::App* check_ = nullptr;
  CLI::App* rules_ = nullptr;
  CLI::App* status_ = nullptr;
  std::array<CLI::App*, 4> commands_{};  // all of them
  bool remove_ = false;
  bool apply_rules_ = false;
  bool watch_ = false;
  bool json_ = false;
  std::string admin_;
  std::string config_path_;
  std::array<std::string, flag_count> values_;
  std::array<CLI::Option*, flag_count> options_{};
};

}  // namespace finhold::app
