#include "config/messages.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <cstdint>
#include <vector>

namespace finhold::config {
namespace {

constexpr std::size_t longest_quoted = 80;
constexpr std::size_t longest_guessed = 40;

char folded(char c) {
  return c == '-' ? '_' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
}

bool is_continuation(char c) { return (static_cast<unsigned char>(c) & 0xC0U) == 0x80U; }

// How many characters must be put in, left out, changed or swapped with their neighbour (optimal
// string alignment), to make one text of the other.
std::size_t edit_distance(std::string_view one, std::string_view two) {
  std::vector<std::size_t> before_last(two.size() + 1);
  std::vector<std::size_t> last(two.size() + 1);
  std::vector<std::size_t> row(two.size() + 1);
  for (std::size_t j = 0; j <= two.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= one.size(); ++i) {
    before_last.swap(last);
    last.swap(row);
    row[0] = i;
    for (std::size_t j = 1; j <= two.size(); ++j) {
      const bool same = folded(one[i - 1]) == folded(two[j - 1]);
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (same ? 0 : 1)});
      if (i > 1 && j > 1 && folded(one[i - 1]) == folded(two[j - 2]) &&
          folded(one[i - 2]) == folded(two[j - 1])) {
        row[j] = std::min(row[j], before_last[j - 2] + 1);
      }
    }
  }
  return row[two.size()];
}

}  // namespace

std::string printable(std::string_view text) {
  constexpr std::string_view hex = "0123456789ABCDEF";
  std::string shown;
  for (std::size_t i = 0; i < text.size(); ++i) {
    auto code = static_cast<unsigned char>(text[i]);
    // U+0080 to U+009F are control characters too; in UTF-8 they are C2 80 to C2 9F.
    const auto next = i + 1 < text.size() ? static_cast<unsigned char>(text[i + 1]) : 0U;
    const bool two_bytes = code == 0xC2 && next >= 0x80 && next <= 0x9F;
    if (two_bytes) {
      code = static_cast<unsigned char>(next);
      ++i;
    }
    if (two_bytes || code < 0x20 || code == 0x7F) {
      shown += "\\u00";
      shown += hex[code >> 4U];
      shown += hex[code & 0xFU];
    } else {
      shown += text[i];
    }
  }
  return shown;
}

std::string in_quotes(std::string_view text) {
  if (text.size() <= longest_quoted) return "\"" + printable(text) + "\"";
  std::size_t cut = longest_quoted / 2;
  while (cut > 0 && is_continuation(text[cut])) --cut;
  return "\"" + printable(text.substr(0, cut)) + "...\"";
}

std::string listed(std::span<const std::string> names, std::string_view last_word) {
  std::string text;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (i > 0) text += i + 1 == names.size() ? " " + std::string(last_word) + " " : ", ";
    text += names[i];
  }
  return text;
}

std::string cure_of_want(int code) {
  switch (code) {
    case EMFILE:
      return "the limit of open files is too low: raise LimitNOFILE= in systemd or \"ulimit -n\", "
             "or "
             "lower limits.workers";
    case ENFILE:
      return "this machine has no more open files: raise the sysctl fs.file-max, or see who has "
             "them";
    case ENOSPC:
      return "the user has no more places in epolls: raise the sysctl fs.epoll.max_user_watches";
    case ENOMEM:
    case ENOBUFS:
      return "the kernel has no memory for it: raise MemoryMax= in systemd or the container's "
             "limit, "
             "or lower limits.workers";
    case EAGAIN:
      return "no thread can be had: raise TasksMax= in systemd, the pod's limit of processes or "
             "\"ulimit -u\", or lower limits.workers";
    default:
      return "";
  }
}

std::optional<std::string_view> nearest_name(std::string_view typed,
                                             std::span<const std::string_view> known) {
  if (typed.size() > longest_guessed) return std::nullopt;
  // One mistake in a name of two to four characters, two in up to seven, and so on.
  std::size_t allowed = (typed.size() + 1) / 3;
  std::optional<std::string_view> nearest;
  for (const std::string_view name : known) {
    const std::size_t distance = edit_distance(typed, name);
    if (distance > allowed || (nearest && distance == allowed)) continue;
    allowed = distance;
    nearest = name;
  }
  return nearest;
}

}  // namespace finhold::config
