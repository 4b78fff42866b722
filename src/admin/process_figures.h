// What the kernel counts of this process.
#pragma once

#include <cstdint>
#include <optional>

namespace finhold::admin {

// Nothing where /proc does not tell.
struct ProcessFigures {
  std::optional<double> cpu_seconds;
  std::optional<std::uint64_t> resident_bytes;
  std::optional<std::uint64_t> virtual_bytes;
  std::optional<std::uint64_t> open_descriptors;
  std::optional<std::uint64_t> most_descriptors;
};

ProcessFigures process_figures();

}  // namespace finhold::admin
