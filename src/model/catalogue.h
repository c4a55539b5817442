// Purpose: THE table of metrics. A row says that a figure exists, its unit, its bounds, and what it means.
// Units: the base unit of each row (bytes, watts, celsius, ratio 0 to 1), never a driver's own.
// Owns: nothing; everything is constexpr.
// Threads: any.
// Fails: at compile time only: a misspelt or doubled name does not compile.
//
// To add a metric: a row here, and a row in sources/nvml/readers.cc (or sampling/derive.cc).
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <string_view>

namespace gputach {

enum class Scope : unsigned char { gpu };
enum class Kind : unsigned char { gauge, counter };

struct Metric {
  std::string_view name;
  Scope scope;
  Kind kind;
  std::string_view unit;
  double min, max;  // outside of these the driver's answer is garbage, not a reading
  std::string_view help;
};

inline constexpr double tebibyte = 1099511627776.0;

// One row is one line, so that the table can be read down its columns.
// clang-format off
inline constexpr auto catalogue = std::to_array<Metric>({
    {"utilization_ratio",         Scope::gpu, Kind::gauge, "ratio",   0, 1,             "Share of the driver's last sample period in which at least one kernel was running."},
    {"memory_used_bytes",         Scope::gpu, Kind::gauge, "bytes",   0, 16 * tebibyte, "Device memory in use, without what the driver reserves for itself."},
    {"memory_total_bytes",        Scope::gpu, Kind::gauge, "bytes",   1, 16 * tebibyte, "Size of the device memory."},
    {"memory_used_ratio",         Scope::gpu, Kind::gauge, "ratio",   0, 1,             "Device memory in use as a share of its size."},
    {"temperature_celsius",       Scope::gpu, Kind::gauge, "celsius", -60, 200,         "Temperature of the GPU die."},
    {"power_watts",               Scope::gpu, Kind::gauge, "watts",   0, 10000,         "Power draw of the board; averaged over one second on most boards since Ampere."},
    {"power_limit_watts",         Scope::gpu, Kind::gauge, "watts",   0, 10000,         "Power limit that was requested, or the enforced one where no other is known."},
    {"fan_speed_ratio",           Scope::gpu, Kind::gauge, "ratio",   0, 1,             "Intended fan speed as a share of the maximum."},
    {"encoder_utilization_ratio", Scope::gpu, Kind::gauge, "ratio",   0, 1,             "Share of the driver's last sample period in which the video encoder was busy."},
    {"decoder_utilization_ratio", Scope::gpu, Kind::gauge, "ratio",   0, 1,             "Share of the driver's last sample period in which the video decoder was busy."},
});
// clang-format on

[[nodiscard]] constexpr std::size_t metric_count(Scope scope) {
  return static_cast<std::size_t>(std::ranges::count(catalogue, scope, &Metric::scope));
}

// Where a metric stands: its row in the catalogue and its column in an entity of its scope.
struct MetricId {
  Scope scope{};
  unsigned char row = 0;
  unsigned char column = 0;

  [[nodiscard]] constexpr const Metric& metric() const { return catalogue[row]; }
  bool operator==(const MetricId&) const = default;
};

[[nodiscard]] consteval MetricId id(std::string_view name) {
  std::array<unsigned char, 8> columns{};
  for (std::size_t row = 0; row < catalogue.size(); ++row) {
    auto& column = columns[static_cast<std::size_t>(catalogue[row].scope)];
    if (catalogue[row].name == name) return {catalogue[row].scope, static_cast<unsigned char>(row), column};
    ++column;
  }
  throw "no metric of this name in the catalogue";
}

namespace catalogue_check {
consteval bool names_are_unique() {
  for (std::size_t i = 0; i < catalogue.size(); ++i)
    for (std::size_t j = i + 1; j < catalogue.size(); ++j)
      if (catalogue[i].name == catalogue[j].name && catalogue[i].scope == catalogue[j].scope) return false;
  return true;
}
consteval bool names_end_in_their_unit() {
  return std::ranges::all_of(catalogue, [](const Metric& m) { return m.name.ends_with(m.unit); });
}
consteval bool help_is_a_sentence() {
  return std::ranges::all_of(catalogue, [](const Metric& m) { return m.help.size() > 20 && m.help.ends_with('.'); });
}
static_assert(catalogue.size() < 255 && names_are_unique() && names_end_in_their_unit() && help_is_a_sentence());
static_assert(std::ranges::all_of(catalogue, [](const Metric& m) { return m.min < m.max; }));
}  // namespace catalogue_check

}  // namespace gputach
