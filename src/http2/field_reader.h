// Reads the value of a header field from its front.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace finhold::http2 {

class FieldReader {
 public:
  // `text` outlives it.
  explicit FieldReader(std::string_view text) : text_(text) {}

  [[nodiscard]] bool at_end() const { return text_.empty(); }

  // Whether that was next; it is behind us then.
  bool take(char c);
  void skip_space();

  // RFC 9110 section 5.6.2; with `more`, characters that may be in it too. Nothing: there is none.
  std::optional<std::string> token(std::string_view more = "");

  // A token or a quoted string (RFC 9110 section 5.6.4).
  std::optional<std::string> value(std::string_view more = "");

 private:
  std::string_view text_;
};

}  // namespace finhold::http2
