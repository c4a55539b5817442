// Purpose: how the figures of a simulated GPU move: pure functions of scenario, time and seed, so that a moment can be
//          asked for again and a golden page stays the same.
// Units: seconds on CLOCK_MONOTONIC (a restarted process sees no jump); a figure is in the unit of its curve.
// Threads: any.
// Fails: never.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "scenario.h"

namespace gputach::sim {

// The driver's own sampling: a figure stays the same for this long.
inline constexpr double sample_period_s = 0.1;

// Load of one GPU between 0 and 1.
[[nodiscard]] double load_at(const Load& load, std::uint64_t seed, unsigned gpu, double time_s);

// A figure of scenario.gpus[gpu]; the curve must be there.
[[nodiscard]] double figure_at(const Scenario& scenario, unsigned gpu, Metric metric, double time_s);

// "GPU-8-4-4-4-12" hexadecimal digits that depend on the seed and the numbers alone.
[[nodiscard]] std::string uuid_from(std::string_view prefix, std::uint64_t seed, unsigned gpu, unsigned instance);

}  // namespace gputach::sim
