#include "load.h"

#include <array>
#include <cmath>
#include <cstdio>

namespace gputach::sim {
namespace {

// splitmix64's finaliser: every bit of the input reaches every bit of the output.
constexpr std::uint64_t mix(std::uint64_t x) {
  x += 0x9E3779B97F4A7C15U;
  x = (x ^ (x >> 30U)) * 0xBF58476D1CE4E5B9U;
  x = (x ^ (x >> 27U)) * 0x94D049BB133111EBU;
  return x ^ (x >> 31U);
}

constexpr std::uint64_t hash(std::uint64_t seed, std::uint64_t a, std::uint64_t b, std::uint64_t c) {
  return mix(mix(mix(mix(seed) ^ a) ^ b) ^ c);
}

// 0 <= unit < 1
constexpr double unit(std::uint64_t bits) {
  return static_cast<double>(bits >> 11U) * 0x1p-53;
}

std::uint64_t steps(double time_s, double step_s) {
  return static_cast<std::uint64_t>(static_cast<std::int64_t>(std::floor(time_s / step_s)));
}

constexpr std::uint64_t load_stream = 0x10AD;
constexpr std::uint64_t uuid_stream = 0x1DED;

// What a first-order low-pass makes of the load: the past weighted with exp(-age / lag), at a few points.
double lagged_load(const Load& load, std::uint64_t seed, unsigned gpu, double time_s, double lag_s) {
  if (lag_s <= 0) return load_at(load, seed, gpu, time_s);
  constexpr int points = 24;
  constexpr double reach = 4;  // time constants
  double sum = 0;
  double weights = 0;
  for (int i = 0; i < points; ++i) {
    const double age = reach * i / points;
    const double weight = std::exp(-age);
    sum += weight * load_at(load, seed, gpu, time_s - age * lag_s);
    weights += weight;
  }
  return sum / weights;
}

}  // namespace

double load_at(const Load& load, std::uint64_t seed, unsigned gpu, double time_s) {
  const double position = time_s / load.period_s;
  const double within = position - std::floor(position);
  const std::uint64_t period = steps(time_s, load.period_s);
  const double from = unit(hash(seed, load_stream, gpu, period));
  const double to = unit(hash(seed, load_stream, gpu, period + 1));
  const double smooth = within * within * (3 - 2 * within);
  return load.low + (load.high - load.low) * (from + (to - from) * smooth);
}

double figure_at(const Scenario& scenario, unsigned gpu, Metric metric, double time_s) {
  const Curve& curve = scenario.gpus[gpu].curve(metric).value();
  const std::uint64_t sample = steps(time_s, sample_period_s);
  const double sampled_s = static_cast<double>(static_cast<std::int64_t>(sample)) * sample_period_s;
  const double load = lagged_load(scenario.gpus[gpu].load, scenario.seed, gpu, sampled_s, curve.lag_s);
  const double noise = 2 * unit(hash(scenario.seed, static_cast<std::uint64_t>(metric), gpu, sample)) - 1;
  return std::max(0.0, curve.idle + (curve.busy - curve.idle) * load + curve.noise * noise);
}

std::string uuid_from(std::string_view prefix, std::uint64_t seed, unsigned gpu, unsigned instance) {
  const std::uint64_t high = hash(seed, uuid_stream, gpu, std::uint64_t{instance} * 2);
  const std::uint64_t low = hash(seed, uuid_stream, gpu, std::uint64_t{instance} * 2 + 1);
  std::array<char, 37> text{};
  std::snprintf(text.data(), text.size(), "%08llx-%04llx-%04llx-%04llx-%012llx", high >> 32U & 0xFFFFFFFFULL,
                high >> 16U & 0xFFFFULL, high & 0xFFFFULL, low >> 48U & 0xFFFFULL, low & 0xFFFFFFFFFFFFULL);
  return std::string(prefix) + text.data();
}

}  // namespace gputach::sim
