#include "base/text_buffer.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

namespace gputach {
namespace {

// Length of the well-formed UTF-8 sequence at the start of `text` (RFC 3629 section 4), or 0.
std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const auto continues = [&](std::size_t i, unsigned char low = 0x80, unsigned char high = 0xBF) {
    return i < text.size() && byte(i) >= low && byte(i) <= high;
  };
  const unsigned char first = byte(0);
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first <= 0xDF) return continues(1) ? 2 : 0;
  if (first >= 0xE0 && first <= 0xEF) {
    const unsigned char low = first == 0xE0 ? 0xA0 : 0x80;
    const unsigned char high = first == 0xED ? 0x9F : 0xBF;
    return continues(1, low, high) && continues(2) ? 3 : 0;
  }
  if (first >= 0xF0 && first <= 0xF4) {
    const unsigned char low = first == 0xF0 ? 0x90 : 0x80;
    const unsigned char high = first == 0xF4 ? 0x8F : 0xBF;
    return continues(1, low, high) && continues(2) && continues(3) ? 4 : 0;
  }
  return 0;
}

// Goes into a JSON string as it is.
bool is_plain(char c) {
  return c >= 0x20 && c < 0x7F && c != '"' && c != '\\';
}

void append_escaped(std::string& out, char c) {
  constexpr std::string_view hex = "0123456789abcdef";
  switch (c) {
    case '"': out += "\\\""; return;
    case '\\': out += "\\\\"; return;
    case '\n': out += "\\n"; return;
    case '\r': out += "\\r"; return;
    case '\t': out += "\\t"; return;
    default: break;
  }
  const auto byte = static_cast<unsigned char>(c);
  if (byte < 0x20 || byte == 0x7F) {
    out += "\\u00";
    out += hex[byte >> 4];
    out += hex[byte & 15];
  } else {
    out += c;
  }
}

template <class T>
void append_number(std::string& out, T value) {
  std::array<char, 24> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
  out.append(digits.data(), end);
}

void append_padded(std::string& out, std::uint64_t value, int width) {
  std::array<char, 24> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
  for (auto length = end - digits.data(); length < width; ++length) out += '0';
  out.append(digits.data(), end);
}

}  // namespace

void TextBuffer::append_signed(std::int64_t value) {
  append_number(bytes_, value);
}

void TextBuffer::append_unsigned(std::uint64_t value) {
  append_number(bytes_, value);
}

void TextBuffer::fixed(double value, int decimals_max) {
  if (!std::isfinite(value)) {
    bytes_ += "null";
    return;
  }
  std::uint64_t scale = 1;
  for (int i = 0; i < decimals_max; ++i) scale *= 10;
  // Beyond 2^53 a double has no fraction left to print.
  if (std::abs(value) * static_cast<double>(scale) >= 9.0e15) {
    std::array<char, 340> digits;
    const auto end =
        std::to_chars(digits.data(), digits.data() + digits.size(), value, std::chars_format::fixed, 1).ptr;
    bytes_.append(digits.data(), end);
    return;
  }
  const auto scaled = static_cast<std::uint64_t>(std::llround(std::abs(value) * static_cast<double>(scale)));
  if (value < 0 && scaled != 0) bytes_ += '-';
  append_unsigned(scaled / scale);
  bytes_ += '.';
  std::uint64_t fraction = scaled % scale;
  int digits = decimals_max;
  while (digits > 1 && fraction % 10 == 0) {
    fraction /= 10;
    --digits;
  }
  append_padded(bytes_, fraction, digits);
}

void TextBuffer::json_string(std::string_view text) {
  bytes_ += '"';
  while (!text.empty()) {
    // Names and identifiers are plain throughout: they go as one piece.
    const auto special = std::ranges::find_if_not(text, is_plain);
    bytes_.append(text.begin(), special);
    text.remove_prefix(static_cast<std::size_t>(special - text.begin()));
    if (text.empty()) break;
    const std::size_t length = utf8_length(text);
    if (length == 1) {
      append_escaped(bytes_, text.front());
    } else if (length == 0) {
      bytes_ += "\xEF\xBF\xBD";
    } else {
      bytes_.append(text.substr(0, length));
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
  bytes_ += '"';
}

void TextBuffer::iso8601(WallTime time) {
  using namespace std::chrono;
  const auto day = floor<days>(time);
  const year_month_day date(day);
  const hh_mm_ss clock(floor<microseconds>(time - day));
  append_padded(bytes_, static_cast<std::uint64_t>(static_cast<int>(date.year())), 4);
  bytes_ += '-';
  append_padded(bytes_, static_cast<unsigned>(date.month()), 2);
  bytes_ += '-';
  append_padded(bytes_, static_cast<unsigned>(date.day()), 2);
  bytes_ += 'T';
  append_padded(bytes_, static_cast<std::uint64_t>(clock.hours().count()), 2);
  bytes_ += ':';
  append_padded(bytes_, static_cast<std::uint64_t>(clock.minutes().count()), 2);
  bytes_ += ':';
  append_padded(bytes_, static_cast<std::uint64_t>(clock.seconds().count()), 2);
  bytes_ += '.';
  append_padded(bytes_, static_cast<std::uint64_t>(clock.subseconds().count()), 6);
  bytes_ += 'Z';
}

}  // namespace gputach
