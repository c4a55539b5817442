// Purpose: the exported names of the simulated driver in one table: what faults can name and what calls are counted by.
// Threads: any; everything here is constant.
// Fails: symbol() of a name that is not in the table does not compile.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <string_view>

namespace gputach::sim {

inline constexpr auto symbol_names = std::to_array<std::string_view>({
    "nvmlInit",
    "nvmlInit_v2",
    "nvmlInitWithFlags",
    "nvmlShutdown",
    "nvmlErrorString",
    "nvmlSystemGetDriverVersion",
    "nvmlSystemGetNVMLVersion",
    "nvmlDeviceGetCount",
    "nvmlDeviceGetCount_v2",
    "nvmlDeviceGetHandleByIndex",
    "nvmlDeviceGetHandleByIndex_v2",
    "nvmlDeviceGetHandleByUUID",
    "nvmlDeviceGetIndex",
    "nvmlDeviceGetName",
    "nvmlDeviceGetUUID",
    "nvmlDeviceGetPciInfo_v3",
    "nvmlDeviceGetSerial",
    "nvmlDeviceGetMinorNumber",
    "nvmlDeviceGetUtilizationRates",
    "nvmlDeviceGetMemoryInfo",
    "nvmlDeviceGetMemoryInfo_v2",
    "nvmlDeviceGetTemperature",
    "nvmlDeviceGetTemperatureV",
    "nvmlDeviceGetPowerUsage",
    "nvmlDeviceGetPowerManagementLimit",
    "nvmlDeviceGetEnforcedPowerLimit",
    "nvmlDeviceGetFanSpeed",
    "nvmlDeviceGetEncoderUtilization",
    "nvmlDeviceGetDecoderUtilization",
    "nvmlDeviceGetMigMode",
    "nvmlDeviceGetMaxMigDeviceCount",
    "nvmlDeviceGetMigDeviceHandleByIndex",
});

// A position in symbol_names.
enum class Symbol : unsigned char {};

[[nodiscard]] constexpr std::size_t index_of(Symbol symbol) {
  return static_cast<std::size_t>(symbol);
}
[[nodiscard]] constexpr std::string_view name_of(Symbol symbol) {
  return symbol_names[index_of(symbol)];
}

[[nodiscard]] constexpr std::optional<Symbol> find_symbol(std::string_view name) {
  const auto found = std::ranges::find(symbol_names, name);
  if (found == symbol_names.end()) return std::nullopt;
  return static_cast<Symbol>(found - symbol_names.begin());
}

[[nodiscard]] consteval Symbol symbol(std::string_view name) {
  return find_symbol(name).value();
}

}  // namespace gputach::sim
