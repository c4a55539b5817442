// Purpose: for tests only: one scripted GPU, read pass by pass.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "sources/nvml/fake_driver.h"
#include "sources/nvml/readers.h"

namespace gputach::nvml {

inline constexpr double mebibyte = 1 << 20;

class Readers : public ::testing::Test {
 protected:
  FakeDriver driver;
  FakeGpu& gpu = *driver.gpus[0];
  DeviceState state;
  Entity entity;
  Instant now = Instant(std::chrono::hours(1));
  std::string meminfo = "/nonexistent";

  PassEnd read() {
    gpu.asked.clear();
    now += std::chrono::seconds(1);
    const Functions functions = driver.functions();
    return read_metrics({functions, reinterpret_cast<Device>(&gpu), now, meminfo.c_str()}, state, entity);
  }
  Reading operator[](MetricId metric) const { return entity[metric]; }
  double value(MetricId metric) const {
    EXPECT_TRUE(entity[metric].ok()) << metric.metric().name << ": " << to_string(entity[metric].status);
    return entity[metric].value;
  }
};

// One driver call as a case of the tests below.
struct CallCase {
  const char* symbol;
  const char* fault_name;
  const char* preferred;  // the call that must be refused for this one to be made
  std::vector<MetricId> metrics;
  bool has_fallback;
};

// clang-format off
inline const CallCase call_cases[] = {
    {"nvmlDeviceGetUtilizationRates", "GetUtilizationRates", nullptr, {id("utilization_ratio")}, false},
    {"nvmlDeviceGetMemoryInfo_v2", "GetMemoryInfo_v2", nullptr, {id("memory_used_bytes")}, true},
    {"nvmlDeviceGetMemoryInfo", "GetMemoryInfo", "nvmlDeviceGetMemoryInfo_v2", {id("memory_used_bytes")}, false},
    {"nvmlDeviceGetTemperatureV", "GetTemperatureV", nullptr, {id("temperature_celsius")}, true},
    {"nvmlDeviceGetTemperature", "GetTemperature", "nvmlDeviceGetTemperatureV", {id("temperature_celsius")}, false},
    {"nvmlDeviceGetPowerUsage", "GetPowerUsage", nullptr, {id("power_watts")}, false},
    {"nvmlDeviceGetPowerManagementLimit", "GetPowerManagementLimit", nullptr, {id("power_limit_watts")}, true},
    {"nvmlDeviceGetEnforcedPowerLimit", "GetEnforcedPowerLimit", "nvmlDeviceGetPowerManagementLimit",
     {id("power_limit_watts")}, false},
    {"nvmlDeviceGetFanSpeed", "GetFanSpeed", nullptr, {id("fan_speed_ratio")}, false},
    {"nvmlDeviceGetEncoderUtilization", "GetEncoderUtilization", nullptr, {id("encoder_utilization_ratio")}, false},
    {"nvmlDeviceGetDecoderUtilization", "GetDecoderUtilization", nullptr, {id("decoder_utilization_ratio")}, false},
};
// clang-format on

}  // namespace gputach::nvml
