// What is wrong with words and flags that the parser does not take, and what was likely meant.
#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "app/cli_command_line.h"
#include "config/messages.h"

namespace finhold::app {

// A flag without its value, or given twice: all that the parser refuses by itself. It says
// "--listen: 1 required ADDRESS:PORT missing".
Command CommandLine::bad_values(const std::string& said_by_parser) {
  const std::string name = said_by_parser.substr(0, said_by_parser.find(':'));
  const bool twice = said_by_parser.find("received") != std::string::npos;
  return refuse(twice ? name + " is given more than once; keep one" : needs_value(name));
}

// Words that no command or flag took; the first one tells what went wrong.
Command CommandLine::bad_words(const std::vector<std::string>& words) {
  const auto* const parsed = std::find_if(commands_.begin(), commands_.end(),
                                          [](const CLI::App* one) { return one->parsed(); });
  const CLI::App* command = parsed != commands_.end() ? *parsed : nullptr;
  const std::string& word = words.front();
  if (word.starts_with('-')) return refuse(about_flag(command, word.substr(0, word.find('='))));
  if (command == nullptr) {
    const auto nearest = config::nearest_name(
        word, std::array<std::string_view, 4>{"run", "check", "rules", "status"});
    return refuse("unknown command " + config::in_quotes(word) +
                  (nearest ? "; did you mean " + config::in_quotes(*nearest) + "?"
                           : "; the known commands are run, check, rules and status"));
  }
  const bool is_path = word.find('/') != std::string::npos || word.ends_with(".toml");
  return refuse(command->get_name() + " takes flags only, not " + config::in_quotes(word) + "; " +
                (is_path ? "write --config " + config::printable(word)
                         : "finhold " + command->get_name() + " --help lists them"));
}

// What is wrong with a flag that stands behind that command (null: behind none).
std::string CommandLine::about_flag(const CLI::App* behind, const std::string& name) const {
  const CLI::App* taker = nullptr;  // a command that knows the flag, that one first
  std::vector<const CLI::App*> takers{behind};
  takers.insert(takers.end(), commands_.begin(), commands_.end());
  for (const CLI::App* command : takers) {
    if (taker == nullptr && command != nullptr && command->get_option_no_throw(name) != nullptr) {
      taker = command;
    }
  }
  if (taker != nullptr) {
    const std::string written = "finhold " + taker->get_name();
    if (behind == nullptr) {
      return name + " needs a command before it; write " + written + " " + name;
    }
    if (behind == taker) return name + " stands behind the command; write " + written + " " + name;
    return name + " is a flag of " + written;
  }
  if (behind != nullptr && app_.get_option_no_throw(name) != nullptr) {
    return name + " needs no command before it; write finhold " + name;
  }
  const CLI::App* owner = behind != nullptr ? behind : &app_;
  std::vector<std::string> known;
  for (const CLI::Option* option : owner->get_options()) known.push_back(option->get_name());
  const std::vector<std::string_view> views(known.begin(), known.end());
  auto nearest = config::nearest_name(name, views);
  // The beginning of one flag, as --apply, is often too far from the whole of it for a slip.
  if (!nearest && name.size() > 3) {
    const auto begun = [&name](std::string_view flag) { return flag.starts_with(name); };
    if (std::count_if(views.begin(), views.end(), begun) == 1) {
      nearest = *std::find_if(views.begin(), views.end(), begun);
    }
  }
  if (nearest) {
    return "unknown flag " + config::in_quotes(name) + "; did you mean " +
           config::in_quotes(*nearest) + "?";
  }
  return "unknown flag " + config::in_quotes(name) + "; " +
         (behind != nullptr ? "finhold " + owner->get_name() : std::string("finhold")) +
         " --help lists the known ones";
}

}  // namespace finhold::app
