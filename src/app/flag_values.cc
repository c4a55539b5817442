#include "app/flag_values.h"

#include <algorithm>
#include <array>

namespace gputach {
namespace {

using namespace std::chrono_literals;

struct Unit {
  std::string_view name;
  std::uint64_t size;
};

// The largest first: what a range names is written with the largest that divides it.
constexpr auto byte_units = std::to_array<Unit>({{"MiB", 1 << 20}, {"KiB", 1 << 10}, {"", 1}});
constexpr auto duration_units = std::to_array<Unit>({{"m", 60'000'000'000}, {"s", 1'000'000'000}, {"ms", 1'000'000}});

std::string in_bytes(std::uint64_t value) {
  const Unit unit = value == 0 ? byte_units.back() : *std::ranges::find_if(byte_units, [&](const Unit& candidate) {
    return value % candidate.size == 0;
  });
  return std::to_string(value / unit.size) + std::string(unit.name);
}

std::string in_time(Duration value) {
  return value % 1s == 0s ? std::to_string(value / 1s) + "s" : std::to_string(value / 1ms) + "ms";
}

std::unexpected<Error> outside(std::string_view what, const std::string& min, const std::string& max) {
  return fail(ErrorCode::invalid, std::string(what) + " between " + min + " and " + max);
}

}  // namespace

std::vector<std::string_view> split_list(std::string_view text) {
  std::vector<std::string_view> parts;
  for (;;) {
    const std::size_t comma = text.find(',');
    parts.push_back(text.substr(0, comma));
    if (comma == std::string_view::npos) return parts;
    text.remove_prefix(comma + 1);
  }
}

Result<Duration> parse_duration(std::string_view text, Duration min, Duration max) {
  const auto refused = [&] { return outside("a duration with its unit", in_time(min), in_time(max)); };
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string_view name(end, static_cast<std::size_t>(text.data() + text.size() - end));
  const auto unit = std::ranges::find(duration_units, name, &Unit::name);
  if (error != std::errc() || unit == duration_units.end()) return refused();
  const double nanoseconds = number * static_cast<double>(unit->size);
  if (!(nanoseconds >= 0 && nanoseconds <= 1e15)) return refused();  // nor NaN, nor what would not fit
  const Duration value(static_cast<std::int64_t>(nanoseconds));
  if (value < min || value > max) return refused();
  return value;
}

Result<std::uint64_t> parse_number(std::string_view text, std::uint64_t min, std::uint64_t max) {
  std::uint64_t value = 0;
  if (!parse_whole(text, value) || value < min || value > max)
    return outside("a number", std::to_string(min), std::to_string(max));
  return value;
}

Result<std::uint64_t> parse_bytes(std::string_view text, std::uint64_t min, std::uint64_t max) {
  const auto refused = [&] {
    return outside("a number of bytes, such as 8192 or 16KiB,", in_bytes(min), in_bytes(max));
  };
  const std::string_view digits = text.substr(0, text.find_first_not_of("0123456789"));
  const auto unit = std::ranges::find(byte_units, text.substr(digits.size()), &Unit::name);
  std::uint64_t value = 0;
  if (unit == byte_units.end() || !parse_whole(digits, value) || value > max / unit->size) return refused();
  value *= unit->size;
  if (value < min) return refused();
  return value;
}

}  // namespace gputach
