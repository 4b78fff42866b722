// Any bytes as a configuration file: a result or problems with a place, never a crash.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "config/file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto loaded = finhold::config::load_config_text(text);
  if (loaded.ok()) {
    FINHOLD_CHECK(!loaded.value().routes.empty() || !loaded.value().fars.empty());
  } else {
    FINHOLD_CHECK(!loaded.error().empty());
    for (const auto& problem : loaded.error()) FINHOLD_CHECK(!problem.what.empty());
  }
  return 0;
}
