#include "config/file.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <span>
#include <sys/stat.h>

#include "base/private_file.h"
#include "config/messages.h"
#include "config/reader.h"

namespace finhold::config {
namespace {

using LoadResult = base::Result<Config, Problems>;

constexpr std::size_t largest_file = std::size_t{1024} * 1024;
// The parser goes one call deeper for each part of a dotted key, without a limit of its own: tens
// of thousands of dots in one line would overflow its stack.
constexpr std::size_t longest_line = 4096;

// More than anybody mends at a time; a wrong file can have as many as it has lines.
constexpr std::size_t most_told = 100;

struct CloseFile {
  void operator()(std::FILE* file) const { static_cast<void>(std::fclose(file)); }
};

Problems unreadable(const std::string& what, int code, const std::string& cure) {
  return {{0, 0, "cannot be " + what + ": " + base::errno_text(code) + cure}};
}

}  // namespace

LoadResult load_config_text(std::string_view text) {
  if (text.size() > largest_file) {
    return Problems{{0, 0, "is larger than 1MiB; no configuration is, so this is another file"}};
  }
  std::size_t line = 0;
  for (std::string_view rest = text; !rest.empty();) {
    const auto end = std::min(rest.find('\n'), rest.size());
    ++line;
    if (end > longest_line) {
      return Problems{{line, longest_line + 1,
                       "this line is longer than " + std::to_string(longest_line) +
                           " bytes; break it up, or check that this is the right file"}};
    }
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return read_config(text);
}

LoadResult load_config_file(const std::string& path) {
  const std::unique_ptr<std::FILE, CloseFile> file(std::fopen(path.c_str(), "re"));
  if (file == nullptr) return unreadable("opened", errno, "; check the path and its permissions");
  std::string text(largest_file + 1, '\0');
  errno = 0;
  text.resize(std::fread(text.data(), 1, text.size(), file.get()));
  if (std::ferror(file.get()) != 0) {
    return unreadable("read", errno, "; write the path of a file");
  }
  auto loaded = load_config_text(text);
  struct stat status {};
  if (loaded.ok() && fstat(fileno(file.get()), &status) == 0) {
    loaded.value().file_mode = base::mode_if_shared(status);
  }
  return loaded;
}

std::string report(std::string_view path, const Problems& problems) {
  const std::string shown = printable(path);
  const std::size_t told = std::min(problems.size(), most_told);
  std::string text;
  for (const Problem& problem : std::span(problems).first(told)) {
    text += shown + ":";
    if (problem.line > 0) {
      text += std::to_string(problem.line) + ":" + std::to_string(problem.column) + ":";
    }
    text += " " + problem.what + "\n";
  }
  if (told < problems.size()) {
    text += shown + ": and " + std::to_string(problems.size() - told) + " more like these\n";
  }
  return text + shown + ": " + std::to_string(problems.size()) +
         (problems.size() == 1 ? " problem\n" : " problems\n");
}

}  // namespace finhold::config
