#include <benchmark/benchmark.h>

#include <string>

#include "encode/stats_json.h"

namespace gputach {
namespace {

using namespace std::chrono;

// Figures with as many digits as real ones have, different for each GPU.
Entity busy_gpu(unsigned index) {
  Entity gpu(Scope::gpu, index);
  gpu.name = "NVIDIA H100 80GB HBM3";
  gpu.uuid = "GPU-0c4bb6a1-5a0f-53f2-9f5c-7e1fd0a3b2" + std::to_string(10 + index);
  gpu.condition = Status::ok;
  gpu[id("utilization_ratio")] = Reading::of((80 + index % 20) / 100.0);
  gpu[id("memory_used_bytes")] = Reading::of((73000.0 + 17 * index) * 1048576);
  gpu[id("memory_total_bytes")] = Reading::of(81559.0 * 1048576);
  gpu[id("memory_used_ratio")] = Reading::of((73000.0 + 17 * index) / 81559);
  gpu[id("temperature_celsius")] = Reading::of(40 + index % 30);
  gpu[id("power_watts")] = Reading::of(612.345 + index);
  gpu[id("power_limit_watts")] = Reading::of(700);
  gpu[id("fan_speed_ratio")] = Reading::missing(Status::unsupported);
  gpu[id("encoder_utilization_ratio")] = Reading::of(0);
  gpu[id("decoder_utilization_ratio")] = Reading::of(0);
  return gpu;
}

void encode_the_contract(benchmark::State& state) {
  Sample sample;
  sample.collected_at = sys_days(2025y / 11 / 9) + 10h + 30min + 45s + 123456us;
  for (unsigned index = 0; index < state.range(0); ++index) sample.entities.push_back(busy_gpu(index));
  std::size_t bytes = 0;
  for (auto _ : state) {
    const StatsPage page = encode_stats(sample, MissingFields::in_header);
    benchmark::DoNotOptimize(page.body.data());
    bytes = page.body.size();
  }
  state.counters["body_bytes"] = static_cast<double>(bytes);
}
BENCHMARK(encode_the_contract)->RangeMultiplier(2)->Range(1, 64);

}  // namespace
}  // namespace gputach
