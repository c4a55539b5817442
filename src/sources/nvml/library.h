// Purpose: the driver library as a table of functions that may always be called, whatever the library exports.
// Owns: the loaded library, for the life of the process: a driver call that never returns may still be inside it, so
//       it is never unloaded. A newer driver is opened by a fresh process.
// Threads: open() on one; the functions afterwards on any (NVML allows simultaneous calls).
// Fails: with not_initialized when no file can be loaded, or when one lacks what nothing works without; the context
//        says which file and why.
#pragma once

#include <functional>
#include <string>
#include <utility>

#include "base/result.h"
#include "sources/nvml/abi.h"

namespace gputach::nvml {

// What stands in for a function that the library does not export.
template <class Fn>
struct Absent;
template <class... Args>
struct Absent<Return(Args...)> {
  static Return call(Args... /*ignored*/) { return Return::function_not_found; }
};

// The exported functions, by meaning; the names stand in library.cc. Never null.
struct Functions {
  InitFn* init = Absent<InitFn>::call;
  SystemGetTextFn* driver_version = Absent<SystemGetTextFn>::call;
  DeviceGetCountFn* device_count = Absent<DeviceGetCountFn>::call;
  DeviceGetHandleByIndexFn* device_by_index = Absent<DeviceGetHandleByIndexFn>::call;
  DeviceGetTextFn* name = Absent<DeviceGetTextFn>::call;
  DeviceGetTextFn* uuid = Absent<DeviceGetTextFn>::call;
  DeviceGetUtilizationRatesFn* utilization_rates = Absent<DeviceGetUtilizationRatesFn>::call;
  DeviceGetMemoryInfoV2Fn* memory_info_v2 = Absent<DeviceGetMemoryInfoV2Fn>::call;
  DeviceGetMemoryInfoFn* memory_info = Absent<DeviceGetMemoryInfoFn>::call;
  DeviceGetTemperatureVFn* temperature_v = Absent<DeviceGetTemperatureVFn>::call;
  DeviceGetTemperatureFn* temperature = Absent<DeviceGetTemperatureFn>::call;
  DeviceGetU32Fn* power_usage = Absent<DeviceGetU32Fn>::call;
  DeviceGetU32Fn* power_management_limit = Absent<DeviceGetU32Fn>::call;
  DeviceGetU32Fn* enforced_power_limit = Absent<DeviceGetU32Fn>::call;
  DeviceGetU32Fn* fan_speed = Absent<DeviceGetU32Fn>::call;
  DeviceGetU32PairFn* encoder_utilization = Absent<DeviceGetU32PairFn>::call;
  DeviceGetU32PairFn* decoder_utilization = Absent<DeviceGetU32PairFn>::call;
  DeviceGetU32PairFn* mig_mode = Absent<DeviceGetU32PairFn>::call;
  DeviceGetU32Fn* max_mig_device_count = Absent<DeviceGetU32Fn>::call;
  DeviceGetMigDeviceHandleByIndexFn* mig_device_by_index = Absent<DeviceGetMigDeviceHandleByIndexFn>::call;
};

// Address of an exported symbol, null when there is none.
using Lookup = std::function<void*(const char* symbol)>;

// Fails with the name of a symbol that is missing and indispensable.
[[nodiscard]] Result<Functions> resolve_functions(const Lookup& lookup);

enum class Origin : unsigned char { driver, simulator };

class Library {
 public:
  // An explicit path is the only one that is tried; an empty one means the places where drivers put it.
  [[nodiscard]] static Result<Library> open(const std::string& path);

  Library(const Functions& functions, Origin origin, Lookup lookup = {})
      : functions_(functions), origin_(origin), lookup_(std::move(lookup)) {}

  [[nodiscard]] const Functions& functions() const { return functions_; }
  // Any exported function, for what asks more than a daemon does; null when there is none of this name.
  [[nodiscard]] void* find(const char* symbol) const { return lookup_ ? lookup_(symbol) : nullptr; }
  [[nodiscard]] bool simulated() const { return origin_ == Origin::simulator; }

 private:
  Functions functions_;
  Origin origin_;
  Lookup lookup_;
};

}  // namespace gputach::nvml
