#include "sampling/derive.h"

#include <array>

namespace gputach {
namespace {

struct Derived {
  MetricId metric;
  Reading (*compute)(const Entity&);
};

Reading ratio(const Reading& part, const Reading& whole) {
  if (!part.ok()) return Reading::missing(part.status);
  if (!whole.ok()) return Reading::missing(whole.status);
  if (whole.value <= 0 || part.value > whole.value) return Reading::missing(Status::out_of_range);
  return Reading::of(part.value / whole.value);
}

Reading memory_used_ratio(const Entity& gpu) {
  return ratio(gpu[id("memory_used_bytes")], gpu[id("memory_total_bytes")]);
}

constexpr auto table = std::to_array<Derived>({
    {id("memory_used_ratio"), memory_used_ratio},
});

constexpr auto metrics = [] {
  std::array<MetricId, table.size()> ids{};
  for (std::size_t i = 0; i < table.size(); ++i) ids[i] = table[i].metric;
  return ids;
}();

}  // namespace

void derive(Sample& sample) {
  for (Entity& entity : sample.entities) {
    if (entity.condition != Status::ok) continue;
    for (const Derived& row : table)
      if (row.metric.scope == entity.scope) entity[row.metric] = row.compute(entity);
  }
}

std::span<const MetricId> derived_metrics() {
  return metrics;
}

}  // namespace gputach
