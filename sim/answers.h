// Purpose: what a call answers that nothing stands in the way of, in NVML's integers.
// Units: bytes, or the metric's unit times `per_unit` (1000 gives milliwatts).
// Threads: any; pure functions of what a call may use.
// Fails: NOT_SUPPORTED where the board, or a MIG device, has no such figure.
#pragma once

#include <cstdint>
#include <expected>

#include "engine.h"

namespace gputach::sim {

[[nodiscard]] std::expected<std::int64_t, nvml::Return> figure(const Access& access, Metric metric,
                                                               double per_unit = 1);

// At most 100, unless a fault says otherwise.
[[nodiscard]] std::expected<std::int64_t, nvml::Return> percent(const Access& access, Metric metric);

[[nodiscard]] std::expected<std::int64_t, nvml::Return> temperature(const Access& access, std::int32_t sensor);

// Without a fault's value: the caller decides which member it falsifies.
[[nodiscard]] std::expected<nvml::MemoryV2, nvml::Return> memory(const Access& access);
[[nodiscard]] std::expected<nvml::Memory, nvml::Return> memory_v1(const Access& access);

}  // namespace gputach::sim
