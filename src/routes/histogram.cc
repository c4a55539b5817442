#include "routes/histogram.h"

#include <algorithm>
#include <cassert>
#include <numeric>

namespace gputach {

double estimate_median(std::span<const std::uint64_t> counts, std::span<const std::uint32_t> bounds, double longest) {
  assert(counts.size() == bounds.size() + 1);
  const std::uint64_t total = std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
  const double half = static_cast<double>(total) / 2;
  double below = 0;
  for (std::size_t i = 0; i < counts.size() && total > 0; ++i) {
    const auto here = static_cast<double>(counts[i]);
    if (here == 0 || below + here < half) {
      below += here;
      continue;
    }
    const double low = i == 0 ? 0 : bounds[i - 1];
    const double high = i < bounds.size() ? bounds[i] : std::max(low, longest);
    return std::min(longest, low + (high - low) * (half - below) / here);
  }
  return 0;
}

}  // namespace gputach
