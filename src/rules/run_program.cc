#include "rules/run_program.h"

#include <array>
#include <cerrno>
#include <cstdlib>
#include <fcntl.h>
#include <spawn.h>
#include <string>
#include <string_view>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "config/messages.h"
#include "net/descriptor.h"

namespace finhold::rules {
namespace {

using base::Mistake;

struct Outcome {
  int status = 0;            // of waitpid; or
  int not_run = 0;           // an errno: not started, or how it ended is not known
  std::string written = {};  // on its standard output
  std::string said = {};     // on its standard error

  [[nodiscard]] bool good() const {
    return not_run == 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
  }
};

// Nothing of what is given to a finhold that has more rights than who starts it (secure_getenv).
std::string search_path() {
  const char* const given = secure_getenv("PATH");
  return std::string(given != nullptr ? given : "") + ":/usr/sbin:/sbin:/usr/bin:/bin";
}

// The path of a program, or nothing.
std::string path_of(const std::string& name) {
  const std::string places = search_path();
  std::string_view rest = places;
  while (!rest.empty()) {
    const auto end = std::min(rest.find(':'), rest.size());
    std::string path(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
    // What a relative place means depends on where finhold was started.
    if (!path.starts_with('/')) continue;
    path += "/" + name;
    if (access(path.c_str(), X_OK) == 0) return path;
  }
  return {};
}

// A file in memory takes any amount without a reader beside it, which a pipe does not.
net::Descriptor memory_file(std::string_view text) {
  net::Descriptor file(memfd_create("finhold", MFD_CLOEXEC));
  while (file.valid() && !text.empty()) {
    const ssize_t written = write(file.get(), text.data(), text.size());
    if (written <= 0) return {};
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  if (file.valid()) lseek(file.get(), 0, SEEK_SET);
  return file;
}

std::string content_of(int fd) {
  std::array<char, 4096> text{};
  const ssize_t length = pread(fd, text.data(), text.size(), 0);
  std::string_view said(text.data(), length > 0 ? static_cast<std::size_t>(length) : 0);
  while (said.ends_with('\n')) said.remove_suffix(1);
  return std::string(said);
}

Outcome run(const std::vector<std::string>& words, const std::string& input) {
  const std::string path = path_of(words.front());
  if (path.empty()) return {.not_run = ENOENT};
  const net::Descriptor in = memory_file(input);
  const net::Descriptor out = memory_file("");
  const net::Descriptor err = memory_file("");
  if (!in.valid() || !out.valid() || !err.valid()) return {.not_run = errno};

  std::vector<char*> arguments;
  arguments.reserve(words.size() + 1);
  // posix_spawn takes them as if it could change them, and does not.
  for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  std::string search = "PATH=" + search_path();
  std::string language = "LANG=C";
  const std::array<char*, 3> environment{search.data(), language.data(), nullptr};
  posix_spawn_file_actions_t streams;
  posix_spawn_file_actions_init(&streams);
  posix_spawn_file_actions_adddup2(&streams, in.get(), STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&streams, out.get(), STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&streams, err.get(), STDERR_FILENO);
  pid_t child = 0;
  Outcome outcome;
  outcome.not_run =
      posix_spawn(&child, path.c_str(), &streams, nullptr, arguments.data(), environment.data());
  posix_spawn_file_actions_destroy(&streams);
  if (outcome.not_run != 0) return outcome;
  while (waitpid(child, &outcome.status, 0) < 0) {
    if (errno == EINTR) continue;
    outcome.not_run = errno;
    break;
  }
  outcome.written = content_of(out.get());
  outcome.said = content_of(err.get());
  return outcome;
}

// Whether the program of `unless` finds something. What it complains of is nothing found.
bool finds(const std::vector<std::string>& words) {
  const Outcome outcome = run(words, "");
  return outcome.good() && !outcome.written.empty();
}

Mistake failure(const std::vector<std::string>& words, const Outcome& outcome) {
  std::string tried;
  for (const std::string& word : words) tried += (tried.empty() ? "" : " ") + word;
  if (outcome.not_run == ENOENT) {
    return {"\"" + words.front() +
            "\" is found neither in PATH nor in /usr/sbin, /sbin, /usr/bin and /bin; install " +
            (words.front() == "nft" ? "nftables" : "iproute2")};
  }
  const std::string why = outcome.not_run != 0
                              ? "could not be run: " + base::errno_text(outcome.not_run)
                          : WIFSIGNALED(outcome.status)
                              ? "was killed by signal " + std::to_string(WTERMSIG(outcome.status))
                              : "failed";
  return {"\"" + tried + "\" " + why + (outcome.said.empty() ? "" : ": " + outcome.said)};
}

}  // namespace

std::optional<Mistake> run_programs(const std::vector<Program>& programs, NftLibrary* nft) {
  for (const Program& program : programs) {
    if (program.words.empty()) continue;
    if (nft != nullptr && program.words.front() == "nft") {
      auto mistake = nft->run(program.input);
      if (mistake && !program.may_fail) return mistake;
      continue;
    }
    if (!program.unless.empty() && finds(program.unless)) continue;
    for (int i = 0; i < program.at_most; ++i) {
      const Outcome outcome = run(program.words, program.input);
      if (outcome.good()) continue;
      if (!program.may_fail) return failure(program.words, outcome);
      break;
    }
  }
  return std::nullopt;
}

}  // namespace finhold::rules
