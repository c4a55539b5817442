// Purpose: append-only text for every encoder; numbers by std::to_chars, escaping in one place, no locale.
// Units: `fixed` takes decimals after the point; `iso8601` prints UTC with six decimals and Z.
// Owns: its bytes. `take` moves them out.
// Threads: one.
// Fails: never; a number that JSON cannot hold (NaN, infinity) prints as null.
#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace gputach {

class TextBuffer {
 public:
  explicit TextBuffer(std::size_t expected_bytes = 0) { bytes_.reserve(expected_bytes); }

  TextBuffer& operator<<(std::string_view text) {
    bytes_.append(text);
    return *this;
  }
  TextBuffer& operator<<(char c) {
    bytes_.push_back(c);
    return *this;
  }
  template <std::integral T>
    requires(!std::same_as<T, char> && !std::same_as<T, bool>)
  TextBuffer& operator<<(T value) {
    if constexpr (std::is_signed_v<T>) {
      append_signed(value);
    } else {
      append_unsigned(value);
    }
    return *this;
  }

  // At least one and at most `decimals_max` decimals, rounded half away from zero: 50 -> "50.0", 350.512 -> "350.512".
  void fixed(double value, int decimals_max);
  // A JSON string with its quotes. Bytes that are not UTF-8 become U+FFFD.
  void json_string(std::string_view text);
  // 2025-11-09T10:30:45.123456Z
  void iso8601(WallTime time);

  [[nodiscard]] std::string_view view() const { return bytes_; }
  [[nodiscard]] std::string take() { return std::move(bytes_); }

 private:
  void append_signed(std::int64_t value);
  void append_unsigned(std::uint64_t value);

  std::string bytes_;
};

}  // namespace gputach
