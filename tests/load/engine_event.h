// Purpose: the events that load_engine sends and load_poller streams reads: all of one size, with the times they carry
//          at fixed places, so that nobody has to parse them.
// Units: bytes; nanoseconds of CLOCK_MONOTONIC.
// Owns: nothing.
// Threads: any.
// Fails: never.
#pragma once

#include <charconv>
#include <string>
#include <string_view>

#include "load_kit.h"

namespace gputach::load {

inline constexpr std::size_t event_bytes = 200;
inline constexpr std::size_t chunk_bytes = event_bytes + 6;  // "c8", two line ends
inline constexpr std::size_t time_digits = 18;
inline constexpr std::string_view event_begin =
    R"(data: {"id":"cmpl-0123456789abcdef","object":"chat.completion.chunk",)"
    R"("choices":[{"index":0,"delta":{"content":")";
inline constexpr std::string_view event_end = "\"}}]}\n\n";
inline constexpr std::size_t due_at = event_begin.size();
inline constexpr std::size_t left_at = due_at + time_digits + 1;
inline constexpr std::size_t padding_at = left_at + time_digits + 1;
static_assert(padding_at + event_end.size() <= event_bytes);
static_assert(event_bytes == 0xc8);

inline void append_time(std::string& out, Nanoseconds time) {
  const std::string digits = std::to_string(time);
  out.append(time_digits - digits.size(), '0').append(digits).append(1, ' ');
}

// One event in a chunk of its own.
inline void append_event(std::string& out, Nanoseconds due, Nanoseconds left) {
  out.append("c8\r\n").append(event_begin);
  append_time(out, due);
  append_time(out, left);
  out.append(event_bytes - padding_at - event_end.size(), 'x').append(event_end).append("\r\n");
}

[[nodiscard]] inline Nanoseconds time_in(std::string_view event, std::size_t at) {
  Nanoseconds time = 0;
  std::from_chars(event.data() + at, event.data() + at + time_digits, time);
  return time;
}

}  // namespace gputach::load
