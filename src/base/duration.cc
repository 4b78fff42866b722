#include "base/duration.h"

#include <array>
#include <charconv>

namespace finhold::base {
namespace {

struct Unit {
  std::string_view name;
  std::uint64_t factor;
};

constexpr std::array<Unit, 4> duration_units{
    {{"h", 3'600'000}, {"m", 60'000}, {"s", 1'000}, {"ms", 1}}};
constexpr std::array<Unit, 4> size_units{
    {{"GiB", 1ULL << 30}, {"MiB", 1ULL << 20}, {"KiB", 1ULL << 10}, {"B", 1}}};

constexpr std::uint64_t longest_duration = 10ULL * 365 * 24 * 3'600'000;
constexpr std::uint64_t largest_size = 1ULL << 40;

// Takes a whole number off the front of text; false if there is none or it is too large for 64
// bits.
bool take_number(std::string_view& text, std::uint64_t& number) {
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failure != std::errc{}) return false;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return true;
}

Mistake not_a_duration(std::string_view text) {
  return {"\"" + std::string(text) +
          "\" is not a duration; write whole numbers with units h, m, s or ms, such as \"5s\", "
          "\"2h4m\" or \"250ms\""};
}

}  // namespace

Result<Milliseconds, Mistake> parse_duration(std::string_view text) {
  std::string_view rest = text;
  std::uint64_t total = 0;
  std::size_t next_unit = 0;
  if (rest.empty()) return not_a_duration(text);
  while (!rest.empty()) {
    std::uint64_t number = 0;
    if (!take_number(rest, number)) return not_a_duration(text);
    const auto unit_end = rest.find_first_of("0123456789");
    const std::string_view unit = rest.substr(0, unit_end);
    while (next_unit < duration_units.size() && duration_units.at(next_unit).name != unit) {
      ++next_unit;
    }
    if (next_unit == duration_units.size()) return not_a_duration(text);
    const std::uint64_t factor = duration_units.at(next_unit).factor;
    ++next_unit;
    if (number > longest_duration / factor || total + number * factor > longest_duration) {
      return Mistake{"\"" + std::string(text) + "\" is longer than ten years; write less"};
    }
    total += number * factor;
    rest.remove_prefix(unit.size());
  }
  return Milliseconds(total);
}

Result<Limit, Mistake> parse_limit(std::string_view text) {
  if (text == "never") return Limit{};
  auto duration = parse_duration(text);
  if (!duration.ok()) return Mistake{duration.error().text + ", or \"never\""};
  return Limit{duration.value()};
}

Result<std::uint64_t, Mistake> parse_size(std::string_view text) {
  std::string_view rest = text;
  std::uint64_t number = 0;
  if (take_number(rest, number)) {
    for (const Unit& unit : size_units) {
      if (rest != unit.name && !(rest.empty() && unit.factor == 1)) continue;
      if (number > largest_size / unit.factor) {
        return Mistake{"\"" + std::string(text) + "\" is more than 1024GiB"};
      }
      return number * unit.factor;
    }
  }
  return Mistake{"\"" + std::string(text) +
                 "\" is not a size; write a whole number with B, KiB, MiB or GiB, such as "
                 "\"256KiB\""};
}

std::string format_duration(Milliseconds duration) {
  auto rest = static_cast<std::uint64_t>(duration.count());
  if (rest == 0) return "0s";
  std::string text;
  for (const Unit& unit : duration_units) {
    if (rest < unit.factor) continue;
    text += std::to_string(rest / unit.factor);
    text += unit.name;
    rest %= unit.factor;
  }
  return text;
}

std::string format_limit(Limit limit) { return limit ? format_duration(*limit) : "never"; }

std::string format_size(std::uint64_t bytes) {
  for (const Unit& unit : size_units) {
    if (bytes >= unit.factor && bytes % unit.factor == 0) {
      return std::to_string(bytes / unit.factor) + std::string(unit.name);
    }
  }
  return "0B";
}

}  // namespace finhold::base
