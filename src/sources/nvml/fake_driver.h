// Purpose: for tests only: a driver made of scripted answers, so that every code can be returned by every call.
// Units: NVML's own.
// Owns: its GPUs. One FakeDriver may exist at a time; the functions find it through a global.
// Threads: different GPUs on different threads; script them before.
#pragma once

#include <algorithm>
#include <limits>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "sources/nvml/library.h"

namespace gputach::nvml {

struct FakeGpu {
  std::string name = "NVIDIA H100 80GB HBM3";
  std::string uuid = "GPU-00000000-0000-0000-0000-000000000000";
  Utilization utilization{.gpu = 85, .memory = 10};
  MemoryV2 memory{.version = 0, .total = 81559ULL << 20, .reserved = 480ULL << 20, .free = 0, .used = 40000ULL << 20};
  std::int32_t temperature = 65;
  std::uint32_t power_mw = 350512;
  std::uint32_t power_limit_mw = 700000;
  std::uint32_t enforced_limit_mw = 500000;
  std::uint32_t fan_percent = 45;
  std::uint32_t encoder_percent = 12;
  std::uint32_t decoder_percent = 34;
  std::uint32_t mig_mode = mig_disabled;
  std::vector<std::unique_ptr<FakeGpu>> instances;  // null: an empty slot

  struct Script {
    Return code = Return::success;
    unsigned times = 0;
  };
  std::map<std::string, Script> scripts;
  std::map<std::string, unsigned> asked;

  void always(const std::string& symbol, Return code) {
    scripts[symbol] = {code, std::numeric_limits<unsigned>::max()};
  }
  void next(const std::string& symbol, Return code, unsigned times = 1) { scripts[symbol] = {code, times}; }
  [[nodiscard]] unsigned calls() const {
    unsigned sum = 0;
    for (const auto& [symbol, count] : asked) sum += count;
    return sum;
  }
};

class FakeDriver {
 public:
  explicit FakeDriver(unsigned gpu_count = 1) {
    current = this;
    for (unsigned i = 0; i < gpu_count; ++i) {
      gpus.push_back(std::make_shared<FakeGpu>());
      gpus.back()->uuid.back() = static_cast<char>('0' + i % 10);
    }
  }
  ~FakeDriver() { current = nullptr; }
  FakeDriver(const FakeDriver&) = delete;
  FakeDriver& operator=(const FakeDriver&) = delete;

  Return init = Return::success;
  Return count_code = Return::success;
  std::vector<std::shared_ptr<FakeGpu>> gpus;  // in the order of the enumeration
  std::map<unsigned, FakeGpu::Script> handle_scripts;
  std::map<unsigned, unsigned> handles_asked;
  std::set<std::string> missing;  // symbols that this driver does not export

  [[nodiscard]] Functions functions() const;
  [[nodiscard]] Library library(Origin origin = Origin::driver) const { return {functions(), origin}; }

  static inline FakeDriver* current = nullptr;
};

namespace fake {

inline FakeGpu& gpu_of(Device device) {
  return *reinterpret_cast<FakeGpu*>(device);
}

inline Return take(FakeGpu::Script& script) {
  if (script.times == 0) return Return::success;
  if (script.times != std::numeric_limits<unsigned>::max()) --script.times;
  return script.code;
}

inline Return answer(Device device, const char* symbol) {
  FakeGpu& gpu = gpu_of(device);
  ++gpu.asked[symbol];
  const auto script = gpu.scripts.find(symbol);
  return script == gpu.scripts.end() ? Return::success : take(script->second);
}

template <class Fill>
Return answer(Device device, const char* symbol, Fill fill) {
  const Return code = answer(device, symbol);
  if (code == Return::success) fill(gpu_of(device));
  return code;
}

inline Return init() {
  return FakeDriver::current->init;
}
inline Return driver_version(char* out, std::uint32_t bytes) {
  std::string("999.0").copy(out, bytes);
  return Return::success;
}
inline Return device_count(std::uint32_t* out) {
  *out = static_cast<std::uint32_t>(FakeDriver::current->gpus.size());
  return FakeDriver::current->count_code;
}
inline Return device_by_index(std::uint32_t index, Device* out) {
  FakeDriver& driver = *FakeDriver::current;
  ++driver.handles_asked[index];
  if (const auto script = driver.handle_scripts.find(index); script != driver.handle_scripts.end()) {
    if (const Return code = take(script->second); code != Return::success) return code;
  }
  if (index >= driver.gpus.size()) return Return::invalid_argument;
  *out = reinterpret_cast<Device>(driver.gpus[index].get());
  return Return::success;
}
inline Return text(Device device, const char* symbol, const std::string& value, char* out, std::uint32_t bytes) {
  return answer(device, symbol,
                [&](FakeGpu&) { std::copy_n(value.c_str(), std::min<std::size_t>(bytes, value.size() + 1), out); });
}
inline Return name(Device device, char* out, std::uint32_t bytes) {
  return text(device, "nvmlDeviceGetName", gpu_of(device).name, out, bytes);
}
inline Return uuid(Device device, char* out, std::uint32_t bytes) {
  return text(device, "nvmlDeviceGetUUID", gpu_of(device).uuid, out, bytes);
}
inline Return utilization_rates(Device device, Utilization* out) {
  return answer(device, "nvmlDeviceGetUtilizationRates", [&](FakeGpu& gpu) { *out = gpu.utilization; });
}
inline Return memory_info_v2(Device device, MemoryV2* out) {
  if (out->version != memory_v2_version) return Return::argument_version_mismatch;
  return answer(device, "nvmlDeviceGetMemoryInfo_v2", [&](FakeGpu& gpu) { *out = gpu.memory; });
}
inline Return memory_info(Device device, Memory* out) {
  return answer(device, "nvmlDeviceGetMemoryInfo", [&](FakeGpu& gpu) {
    *out = {.total = gpu.memory.total, .free = gpu.memory.free, .used = gpu.memory.used + gpu.memory.reserved};
  });
}
inline Return temperature_v(Device device, TemperatureV1* out) {
  if (out->version != temperature_v1_version) return Return::argument_version_mismatch;
  if (out->sensor_type != temperature_sensor_gpu) return Return::invalid_argument;
  return answer(device, "nvmlDeviceGetTemperatureV", [&](FakeGpu& gpu) { out->temperature = gpu.temperature; });
}
inline Return temperature(Device device, std::int32_t sensor, std::uint32_t* out) {
  if (sensor != temperature_sensor_gpu) return Return::invalid_argument;
  return answer(device, "nvmlDeviceGetTemperature",
                [&](FakeGpu& gpu) { *out = static_cast<std::uint32_t>(gpu.temperature); });
}
inline Return power_usage(Device device, std::uint32_t* out) {
  return answer(device, "nvmlDeviceGetPowerUsage", [&](FakeGpu& gpu) { *out = gpu.power_mw; });
}
inline Return power_management_limit(Device device, std::uint32_t* out) {
  return answer(device, "nvmlDeviceGetPowerManagementLimit", [&](FakeGpu& gpu) { *out = gpu.power_limit_mw; });
}
inline Return enforced_power_limit(Device device, std::uint32_t* out) {
  return answer(device, "nvmlDeviceGetEnforcedPowerLimit", [&](FakeGpu& gpu) { *out = gpu.enforced_limit_mw; });
}
inline Return fan_speed(Device device, std::uint32_t* out) {
  return answer(device, "nvmlDeviceGetFanSpeed", [&](FakeGpu& gpu) { *out = gpu.fan_percent; });
}
inline Return encoder_utilization(Device device, std::uint32_t* out, std::uint32_t* period_us) {
  *period_us = 167000;
  return answer(device, "nvmlDeviceGetEncoderUtilization", [&](FakeGpu& gpu) { *out = gpu.encoder_percent; });
}
inline Return decoder_utilization(Device device, std::uint32_t* out, std::uint32_t* period_us) {
  *period_us = 167000;
  return answer(device, "nvmlDeviceGetDecoderUtilization", [&](FakeGpu& gpu) { *out = gpu.decoder_percent; });
}
inline Return mig_mode(Device device, std::uint32_t* now, std::uint32_t* pending) {
  return answer(device, "nvmlDeviceGetMigMode", [&](FakeGpu& gpu) { *now = *pending = gpu.mig_mode; });
}
inline Return max_mig_device_count(Device device, std::uint32_t* out) {
  return answer(device, "nvmlDeviceGetMaxMigDeviceCount",
                [&](FakeGpu& gpu) { *out = static_cast<std::uint32_t>(gpu.instances.size()); });
}
inline Return mig_device_by_index(Device device, std::uint32_t slot, Device* out) {
  const Return code = answer(device, "nvmlDeviceGetMigDeviceHandleByIndex");
  if (code != Return::success) return code;
  const auto& instances = gpu_of(device).instances;
  if (slot >= instances.size()) return Return::invalid_argument;
  if (!instances[slot]) return Return::not_found;
  *out = reinterpret_cast<Device>(instances[slot].get());
  return Return::success;
}

template <class Fn>
void* address(Fn* function) {
  return reinterpret_cast<void*>(function);
}

// What the driver exports, by name.
inline const std::map<std::string, void*>& symbols() {
  static const std::map<std::string, void*> table = {
      {"nvmlInit_v2", address(init)},
      {"nvmlSystemGetDriverVersion", address(driver_version)},
      {"nvmlDeviceGetCount_v2", address(device_count)},
      {"nvmlDeviceGetHandleByIndex_v2", address(device_by_index)},
      {"nvmlDeviceGetName", address(name)},
      {"nvmlDeviceGetUUID", address(uuid)},
      {"nvmlDeviceGetUtilizationRates", address(utilization_rates)},
      {"nvmlDeviceGetMemoryInfo_v2", address(memory_info_v2)},
      {"nvmlDeviceGetMemoryInfo", address(memory_info)},
      {"nvmlDeviceGetTemperatureV", address(temperature_v)},
      {"nvmlDeviceGetTemperature", address(temperature)},
      {"nvmlDeviceGetPowerUsage", address(power_usage)},
      {"nvmlDeviceGetPowerManagementLimit", address(power_management_limit)},
      {"nvmlDeviceGetEnforcedPowerLimit", address(enforced_power_limit)},
      {"nvmlDeviceGetFanSpeed", address(fan_speed)},
      {"nvmlDeviceGetEncoderUtilization", address(encoder_utilization)},
      {"nvmlDeviceGetDecoderUtilization", address(decoder_utilization)},
      {"nvmlDeviceGetMigMode", address(mig_mode)},
      {"nvmlDeviceGetMaxMigDeviceCount", address(max_mig_device_count)},
      {"nvmlDeviceGetMigDeviceHandleByIndex", address(mig_device_by_index)},
  };
  return table;
}

}  // namespace fake

inline Functions FakeDriver::functions() const {
  const auto resolved = resolve_functions([this](const char* symbol) -> void* {
    const auto found = fake::symbols().find(symbol);
    return found == fake::symbols().end() || missing.contains(symbol) ? nullptr : found->second;
  });
  return resolved.value();
}

}  // namespace gputach::nvml
