// Purpose: what a histogram of fixed buckets says about the values it has counted.
// Units: those of its bounds.
// Owns: nothing.
// Threads: any; pure.
// Fails: never; a histogram that counted nothing has the median 0.
#pragma once

#include <cstdint>
#include <span>

namespace gputach {

// `counts` has one bucket more than `bounds`: the last is what lies above them, up to `longest`. Within its bucket the
// median is taken as if the values were spread evenly, and never above `longest`.
[[nodiscard]] double estimate_median(std::span<const std::uint64_t> counts, std::span<const std::uint32_t> bounds,
                                     double longest);

}  // namespace gputach
