#include "answers.h"

#include <algorithm>
#include <cmath>

#include "load.h"

namespace gputach::sim {

using nvml::Return;

// A figure in NVML's integer unit. A MIG device has none of its own.
std::expected<std::int64_t, Return> figure(const Access& access, Metric metric, double per_unit) {
  if (access.mig != nullptr || !access.gpu->curve(metric)) return std::unexpected(Return::not_supported);
  if (access.garbage) return *access.garbage;
  return std::llround(figure_at(access.loaded->scenario, access.gpu_index, metric, access.time_s) * per_unit);
}

std::expected<std::int64_t, Return> percent(const Access& access, Metric metric) {
  auto value = figure(access, metric);
  if (value && !access.garbage) *value = std::min<std::int64_t>(*value, 100);
  return value;
}

// Bytes, with the meaning of the second structure: used without what the driver reserves.
std::expected<nvml::MemoryV2, Return> memory(const Access& access) {
  constexpr double mib = 1 << 20;
  const auto bytes = [](double count_mib) { return static_cast<std::uint64_t>(std::llround(count_mib * mib)); };
  nvml::MemoryV2 memory{.version = nvml::memory_v2_version, .total = 0, .reserved = 0, .free = 0, .used = 0};
  if (access.mig != nullptr) {
    memory.total = bytes(access.mig->memory_total_mib);
    memory.used = bytes(access.mig->memory_used_mib);
  } else {
    if (!access.gpu->memory_total_mib) return std::unexpected(Return::not_supported);
    memory.total = bytes(*access.gpu->memory_total_mib);
    memory.reserved = bytes(access.gpu->memory_reserved_mib);
    if (access.gpu->curve(Metric::memory_used)) {
      memory.used = bytes(figure_at(access.loaded->scenario, access.gpu_index, Metric::memory_used, access.time_s));
    }
  }
  memory.used = std::min(memory.used, memory.total - memory.reserved);
  memory.free = memory.total - memory.reserved - memory.used;
  return memory;
}

// What the driver reserves counts as used, or is left out of the total, as before R510.
std::expected<nvml::Memory, Return> memory_v1(const Access& access) {
  const auto v2 = memory(access);
  if (!v2) return std::unexpected(v2.error());
  nvml::Memory v1{.total = v2->total, .free = v2->free, .used = v2->used + v2->reserved};
  if (access.loaded->scenario.driver.memory_v1_total == MemoryV1Total::unreserved) {
    v1.total -= v2->reserved;
    v1.used -= v2->reserved;
  }
  return v1;
}

std::expected<std::int64_t, Return> temperature(const Access& access, std::int32_t sensor) {
  if (sensor != nvml::temperature_sensor_gpu) return std::unexpected(Return::invalid_argument);
  return figure(access, Metric::temperature);
}

}  // namespace gputach::sim
