// Purpose: what the values of flags look like: durations, sizes, numbers and lists, each within a range. Pure.
// Units: durations are written with their unit (500ms, 1s, 2m), bytes with or without one (8192, 16KiB, 1MiB).
// Owns: nothing; the parts of a list borrow the text.
// Threads: any.
// Fails: with what would be right, to stand behind "... is not": "a number between 1 and 64".
#pragma once

#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace gputach {

// At least one part; commas cannot be part of one.
[[nodiscard]] std::vector<std::string_view> split_list(std::string_view text);

// True when all of `text` is one number that fits.
template <class T>
[[nodiscard]] bool parse_whole(std::string_view text, T& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

[[nodiscard]] Result<Duration> parse_duration(std::string_view text, Duration min, Duration max);
[[nodiscard]] Result<std::uint64_t> parse_number(std::string_view text, std::uint64_t min, std::uint64_t max);
[[nodiscard]] Result<std::uint64_t> parse_bytes(std::string_view text, std::uint64_t min, std::uint64_t max);

}  // namespace gputach
