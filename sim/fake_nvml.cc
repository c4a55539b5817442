// The exported C functions: argument checks and units here, everything else in engine.h.
#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <type_traits>

#include "answers.h"
#include "engine.h"
#include "exported.h"
#include "load.h"
#include "return_codes.h"
#include "sources/nvml/abi.h"

namespace gputach::sim {
namespace {

using nvml::Device;
using nvml::Return;

EngineSettings settings_from_environment() {
  EngineSettings settings;
  if (const char* scenario = std::getenv("GPUTACH_SIM_SCENARIO"); scenario != nullptr && *scenario != '\0') {
    settings.scenario = scenario;
  }
  if (const char* time_s = std::getenv("GPUTACH_SIM_TIME_S"); time_s != nullptr) {
    char* end = nullptr;
    settings.time_s = std::strtod(time_s, &end);
    if (end == time_s || *end != '\0') {
      std::fprintf(stderr, "gputach simulated driver: GPUTACH_SIM_TIME_S=%s is not a number of seconds\n", time_s);
      settings.time_s.reset();
    }
  }
  settings.call_log_path = std::getenv("GPUTACH_SIM_CALL_LOG");
  return settings;
}

std::atomic<Engine*> abandoned_engine = nullptr;  // keeps it reachable for leak checkers

__attribute__((destructor)) void unload() {
  Engine* const last = engine.exchange(nullptr);
  if (calls_inside == 0) {
    delete last;
  } else {
    abandoned_engine = last;
  }
}

Return device_watts(Symbol symbol, Device device, std::uint32_t* milliwatts, Metric metric) {
  return device_u32(symbol, device, milliwatts, [&](const Access& access) { return figure(access, metric, 1000); });
}

Return codec_utilization(Symbol symbol, Device device, std::uint32_t* utilization, std::uint32_t* period_us,
                         Metric metric) {
  return Call().run([&](Engine& sim) {
    const auto access = sim.enter(symbol, device, pointers(utilization, period_us));
    if (!access) return access.error();
    const auto value = percent(*access, metric);
    if (!value) return value.error();
    *utilization = static_cast<std::uint32_t>(*value);
    *period_us = static_cast<std::uint32_t>(std::lround(sample_period_s * 1e6));
    return Return::success;
  });
}

Return give_handle(const std::expected<Device, Return>& handle, Device* out) {
  if (!handle) return handle.error();
  *out = *handle;
  return Return::success;
}

Return count(Symbol symbol, std::uint32_t* out) {
  return Call().run([&](Engine& sim) {
    const auto access = sim.enter(symbol, pointers(out));
    if (!access) return access.error();
    *out = static_cast<std::uint32_t>(access->garbage.value_or(std::ssize(access->loaded->scenario.gpus)));
    return Return::success;
  });
}

Return handle_by_index(Symbol symbol, std::uint32_t index, Device* out) {
  return Call().run([&](Engine& sim) { return give_handle(sim.handle_by_index(symbol, index, pointers(out)), out); });
}

Return init(Symbol symbol) {
  return Call().run([&](Engine& sim) { return sim.init(symbol); });
}

}  // namespace

// Made when the library is loaded. Destroyed when it is unloaded or the process ends, unless a thread hangs inside.
std::atomic<Engine*> engine = new Engine(settings_from_environment());
std::atomic<int> calls_inside = 0;

}  // namespace gputach::sim

using namespace gputach::nvml;
using namespace gputach::sim;

#pragma GCC visibility push(default)
extern "C" {

int gputach_simulated = 1;

unsigned long long gputach_sim_calls(const char* name) {
  unsigned long long calls = 0;
  if (const auto known = find_symbol(name == nullptr ? "" : name)) {
    Call().run([&](Engine& sim) {
      calls = sim.log().calls(*known);
      return Return::success;
    });
  }
  return calls;
}

Return nvmlInit() {
  return init(symbol(__func__));
}
Return nvmlInit_v2() {
  return init(symbol(__func__));
}
Return nvmlInitWithFlags(std::uint32_t) {
  return init(symbol(__func__));
}

Return nvmlShutdown() {
  return Call().run([&](Engine& sim) { return sim.shutdown(symbol("nvmlShutdown")); });
}

const char* nvmlErrorString(Return code) {
  Call().run([](Engine& sim) {
    sim.log().record(symbol("nvmlErrorString"), std::nullopt);
    return Return::success;
  });
  return error_text(code);
}

Return nvmlSystemGetDriverVersion(char* out, std::uint32_t size) {
  return system_text(symbol(__func__), out, size, [](const Driver& driver) { return driver.version; });
}

Return nvmlSystemGetNVMLVersion(char* out, std::uint32_t size) {
  return system_text(symbol(__func__), out, size, [](const Driver& driver) { return driver.nvml_version; });
}

Return nvmlDeviceGetCount(std::uint32_t* out) {
  return count(symbol(__func__), out);
}
Return nvmlDeviceGetCount_v2(std::uint32_t* out) {
  return count(symbol(__func__), out);
}

Return nvmlDeviceGetHandleByIndex(std::uint32_t index, Device* out) {
  return handle_by_index(symbol(__func__), index, out);
}
Return nvmlDeviceGetHandleByIndex_v2(std::uint32_t index, Device* out) {
  return handle_by_index(symbol(__func__), index, out);
}

Return nvmlDeviceGetHandleByUUID(const char* uuid, Device* out) {
  return Call().run([&](Engine& sim) {
    return give_handle(sim.handle_by_uuid(symbol("nvmlDeviceGetHandleByUUID"), uuid, pointers(uuid, out)), out);
  });
}

Return nvmlDeviceGetIndex(Device device, std::uint32_t* out) {
  return device_u32(symbol(__func__), device, out, [](const Access& access) -> std::expected<std::int64_t, Return> {
    if (access.garbage) return *access.garbage;
    return access.mig != nullptr ? access.mig->slot : access.index;
  });
}

Return nvmlDeviceGetName(Device device, char* out, std::uint32_t size) {
  return device_text(symbol(__func__), device, out, size, [](const Access& access) -> std::string_view {
    return access.mig != nullptr ? access.mig->name : access.gpu->name;
  });
}

Return nvmlDeviceGetUUID(Device device, char* out, std::uint32_t size) {
  return device_text(symbol(__func__), device, out, size, [](const Access& access) -> std::string_view {
    return access.mig != nullptr ? access.mig->uuid : access.gpu->uuid;
  });
}

Return nvmlDeviceGetUtilizationRates(Device device, Utilization* out) {
  return Call().run([&](Engine& sim) {
    const auto access = sim.enter(symbol("nvmlDeviceGetUtilizationRates"), device, pointers(out));
    if (!access) return access.error();
    const auto gpu = percent(*access, Metric::utilization);
    if (!gpu) return gpu.error();
    const auto memory_busy = percent(*access, Metric::memory_utilization).value_or(0);
    *out = {.gpu = static_cast<std::uint32_t>(*gpu), .memory = static_cast<std::uint32_t>(memory_busy)};
    return Return::success;
  });
}

Return nvmlDeviceGetMemoryInfo(Device device, Memory* out) {
  return Call().run([&](Engine& sim) {
    const auto access = sim.enter(symbol("nvmlDeviceGetMemoryInfo"), device, pointers(out));
    if (!access) return access.error();
    const auto bytes = memory_v1(*access);
    if (!bytes) return bytes.error();
    *out = *bytes;
    if (access->garbage) out->used = static_cast<std::uint64_t>(*access->garbage);
    return Return::success;
  });
}

Return nvmlDeviceGetMemoryInfo_v2(Device device, MemoryV2* out) {
  return Call().run([&](Engine& sim) {
    const auto arguments = versioned(out, memory_v2_version);
    const auto access = sim.enter(symbol("nvmlDeviceGetMemoryInfo_v2"), device, arguments);
    if (!access) return access.error();
    const auto bytes = memory(*access);
    if (!bytes) return bytes.error();
    *out = *bytes;
    if (access->garbage) out->used = static_cast<std::uint64_t>(*access->garbage);
    return Return::success;
  });
}

Return nvmlDeviceGetTemperature(Device device, std::int32_t sensor, std::uint32_t* out) {
  return device_u32(symbol(__func__), device, out, [&](const Access& access) { return temperature(access, sensor); });
}

Return nvmlDeviceGetTemperatureV(Device device, TemperatureV1* out) {
  return Call().run([&](Engine& sim) {
    const auto arguments = versioned(out, temperature_v1_version);
    const auto access = sim.enter(symbol("nvmlDeviceGetTemperatureV"), device, arguments);
    if (!access) return access.error();
    const auto celsius = temperature(*access, out->sensor_type);
    if (!celsius) return celsius.error();
    out->temperature = static_cast<std::int32_t>(*celsius);
    return Return::success;
  });
}

Return nvmlDeviceGetPowerUsage(Device device, std::uint32_t* out) {
  return device_watts(symbol(__func__), device, out, Metric::power);
}
Return nvmlDeviceGetPowerManagementLimit(Device device, std::uint32_t* out) {
  return device_watts(symbol(__func__), device, out, Metric::power_limit);
}
Return nvmlDeviceGetEnforcedPowerLimit(Device device, std::uint32_t* out) {
  return device_watts(symbol(__func__), device, out, Metric::enforced_power_limit);
}

// Not bounded by 100: a fan may turn faster than its nominal maximum.
Return nvmlDeviceGetFanSpeed(Device device, std::uint32_t* out) {
  return device_u32(symbol(__func__), device, out, [](const Access& access) { return figure(access, Metric::fan); });
}

Return nvmlDeviceGetEncoderUtilization(Device device, std::uint32_t* out, std::uint32_t* period_us) {
  return codec_utilization(symbol(__func__), device, out, period_us, Metric::encoder);
}
Return nvmlDeviceGetDecoderUtilization(Device device, std::uint32_t* out, std::uint32_t* period_us) {
  return codec_utilization(symbol(__func__), device, out, period_us, Metric::decoder);
}

Return nvmlDeviceGetMigMode(Device device, std::uint32_t* current, std::uint32_t* pending) {
  return Call().run([&](Engine& sim) {
    const auto access = sim.enter(symbol("nvmlDeviceGetMigMode"), device, pointers(current, pending));
    if (!access) return access.error();
    if (access->mig != nullptr || access->gpu->feature(Feature::mig) == Mode::not_supported)
      return Return::not_supported;
    *current = *pending = access->gpu->feature(Feature::mig) == Mode::enabled ? mig_enabled : mig_disabled;
    return Return::success;
  });
}

Return nvmlDeviceGetMaxMigDeviceCount(Device device, std::uint32_t* out) {
  return device_u32(symbol(__func__), device, out, [](const Access& access) -> std::expected<std::int64_t, Return> {
    if (access.mig != nullptr || access.gpu->feature(Feature::mig) == Mode::not_supported) {
      return std::unexpected(Return::not_supported);
    }
    return access.gpu->feature(Feature::mig) == Mode::enabled ? mig_devices_max : 0;
  });
}

Return nvmlDeviceGetMigDeviceHandleByIndex(Device device, std::uint32_t slot, Device* out) {
  return Call().run([&](Engine& sim) {
    const Symbol name = symbol("nvmlDeviceGetMigDeviceHandleByIndex");
    return give_handle(sim.mig_handle(name, device, slot, pointers(out)), out);
  });
}

}  // extern "C"
#pragma GCC visibility pop

// The signatures that the client side casts its symbols to.
static_assert(std::is_same_v<decltype(nvmlInit_v2), InitFn> && std::is_same_v<decltype(nvmlShutdown), ShutdownFn>);
static_assert(std::is_same_v<decltype(nvmlErrorString), ErrorStringFn>);
static_assert(std::is_same_v<decltype(nvmlSystemGetDriverVersion), SystemGetTextFn>);
static_assert(std::is_same_v<decltype(nvmlDeviceGetCount_v2), DeviceGetCountFn>);
static_assert(std::is_same_v<decltype(nvmlDeviceGetHandleByIndex_v2), DeviceGetHandleByIndexFn>);
static_assert(std::is_same_v<decltype(nvmlDeviceGetName), DeviceGetTextFn>);
static_assert(std::is_same_v<decltype(nvmlDeviceGetUUID), DeviceGetTextFn>);
static_assert(std::is_same_v<decltype(nvmlDeviceGetUtilizationRates), DeviceGetUtilizationRatesFn>);
static_assert(std::is_same_v<decltype(nvmlDeviceGetMemoryInfo), DeviceGetMemoryInfoFn>);
static_assert(std::is_same_v<decltype(nvmlDeviceGetMemoryInfo_v2), DeviceGetMemoryInfoV2Fn>);
static_assert(std::is_same_v<decltype(nvmlDeviceGetTemperature), DeviceGetTemperatureFn>);
static_assert(std::is_same_v<decltype(nvmlDeviceGetTemperatureV), DeviceGetTemperatureVFn>);
static_assert(std::is_same_v<decltype(nvmlDeviceGetPowerUsage), DeviceGetU32Fn>);
static_assert(std::is_same_v<decltype(nvmlDeviceGetFanSpeed), DeviceGetU32Fn>);
static_assert(std::is_same_v<decltype(nvmlDeviceGetMaxMigDeviceCount), DeviceGetU32Fn>);
static_assert(std::is_same_v<decltype(nvmlDeviceGetEncoderUtilization), DeviceGetU32PairFn>);
static_assert(std::is_same_v<decltype(nvmlDeviceGetMigMode), DeviceGetU32PairFn>);
static_assert(std::is_same_v<decltype(nvmlDeviceGetMigDeviceHandleByIndex), DeviceGetMigDeviceHandleByIndexFn>);
