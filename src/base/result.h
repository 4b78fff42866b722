// A value or the reason why there is none; C++20 has no std::expected.
#pragma once

#include <string>
#include <utility>
#include <variant>

#include "base/check.h"
#include "base/error.h"

namespace finhold::base {

// The reason in words, for what a person wrote: a sentence without a capital and a full stop.
struct Mistake {
  std::string text;
};

template <typename Value, typename Reason = Error>
class [[nodiscard]] Result {
 public:
  Result(Value value) : held_(std::in_place_index<0>, std::move(value)) {}     // NOLINT: implicit
  Result(Reason reason) : held_(std::in_place_index<1>, std::move(reason)) {}  // NOLINT: implicit

  [[nodiscard]] bool ok() const { return held_.index() == 0; }

  // Requires ok().
  [[nodiscard]] Value& value() {
    FINHOLD_CHECK(ok());
    return *std::get_if<0>(&held_);
  }
  [[nodiscard]] const Value& value() const {
    FINHOLD_CHECK(ok());
    return *std::get_if<0>(&held_);
  }

  // Requires !ok().
  [[nodiscard]] const Reason& error() const {
    FINHOLD_CHECK(!ok());
    return *std::get_if<1>(&held_);
  }

 private:
  std::variant<Value, Reason> held_;
};

}  // namespace finhold::base
