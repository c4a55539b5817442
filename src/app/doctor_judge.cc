#include "app/doctor_judge.h"

#include <array>

namespace gputach {
namespace {

struct CheckRow {
  std::string_view id;
  Check (*judge)(const Findings&);
};

constexpr auto table = std::to_array<CheckRow>({
    {"hardware", checks::hardware},
    {"library", checks::library},
    {"kernel_driver", checks::kernel_driver},
    {"version_match", checks::version_match},
    {"device_nodes", checks::device_nodes},
    {"container", checks::container},
    {"pod_resources", checks::pod_resources},
    {"driver_start", checks::driver_start},
    {"gpus", checks::gpus},
    {"driver_calls", checks::driver_calls},
    {"pass_latency", checks::pass_latency},
    {"cache", checks::cache},
    {"clock", checks::clock},
});

}  // namespace

std::vector<Check> judge(const Findings& findings) {
  std::vector<Check> all;
  for (const CheckRow& row : table) {
    all.push_back(row.judge(findings));
    all.back().id = row.id;
    if (row.judge != checks::gpus || !findings.passes) continue;
    for (const Entity& entity : findings.passes->gpus) {
      all.push_back(checks::gpu(entity));
      all.back().id = "gpu_" + std::to_string(entity.index);
    }
  }
  return all;
}

// A single GPU that hangs is the worker's business; a driver that does not come up would only be waited for again.
bool worth_passes(const ProbeReport& probe) {
  if (probe.opened) return true;
  const bool one_gpu_hangs = probe.end == ProbeReport::End::hung && probe.pending && probe.pending->gpu >= 0;
  return probe.started() && one_gpu_hangs;
}

}  // namespace gputach
