// Any bytes as what answers to `finhold status`, and behind a NUL as its answer before: never a
// crash, and nothing that paints the terminal.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "admin/http.h"
#include "admin/status_text.h"
#include "base/check.h"

namespace {

// ISO 6429: the C0 set, DEL, and the C1 set, which terminals obey in UTF-8 too.
bool has_control(std::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c == '\n') continue;
    if (c < 0x20 || c == 0x7f) return true;
    if (c == 0xc2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xa0) {
      return true;
    }
  }
  return false;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto first = text.substr(0, text.find('\0'));
  const auto before = text.substr(first.size() == size ? size : first.size() + 1);
  static_cast<void>(finhold::admin::parse_answer(first));
  const auto whole = finhold::admin::status_text(first, before, 0, 0);
  FINHOLD_CHECK(!whole || !has_control(*whole));
  const auto fitted = finhold::admin::status_text(first, before, 40, 10);
  FINHOLD_CHECK(whole.has_value() == fitted.has_value());
  FINHOLD_CHECK(!fitted || fitted->size() <= whole->size());
  return 0;
}
