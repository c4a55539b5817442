// Purpose: own declarations of the part of NVML that is used, so that neither header nor library is needed to build.
// Units: NVML's own, named in the comments: percent, bytes, milliwatts, degrees Celsius.
// Source: nvml.h 13.3.29 (CUDA toolkit 13.3) and the headers of the toolkits since 11.0; sizes and offsets are the same
//         on x86-64 and aarch64.
// Shared with the simulated driver (sim/), which exports these functions.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace gputach::nvml {

// nvmlReturn_t. Open-ended: a newer driver may return others.
enum class Return : int {
  success = 0,
  uninitialized = 1,
  invalid_argument = 2,
  not_supported = 3,
  no_permission = 4,
  already_initialized = 5,
  not_found = 6,
  insufficient_size = 7,
  insufficient_power = 8,
  driver_not_loaded = 9,
  timeout = 10,
  irq_issue = 11,
  library_not_found = 12,
  function_not_found = 13,
  corrupted_inforom = 14,
  gpu_is_lost = 15,
  reset_required = 16,
  operating_system = 17,
  lib_rm_version_mismatch = 18,
  in_use = 19,
  memory = 20,
  no_data = 21,
  vgpu_ecc_not_supported = 22,
  insufficient_resources = 23,
  freq_not_supported = 24,
  argument_version_mismatch = 25,
  deprecated = 26,
  not_ready = 27,
  gpu_not_found = 28,
  invalid_state = 29,
  reset_type_not_supported = 30,
  unknown = 999,
};

// nvmlDevice_t: an opaque pointer, passed by value.
using Device = struct DeviceHandle*;

// nvmlUtilization_t, percent
struct Utilization {
  std::uint32_t gpu;
  std::uint32_t memory;
};
static_assert(sizeof(Utilization) == 8 && alignof(Utilization) == 4);

// nvmlMemory_t, bytes; `used` includes what the driver reserves
struct Memory {
  std::uint64_t total;
  std::uint64_t free;
  std::uint64_t used;
};
static_assert(sizeof(Memory) == 24 && alignof(Memory) == 8);

// nvmlMemory_v2_t, bytes; total = reserved + free + used
struct MemoryV2 {
  std::uint32_t version;
  std::uint64_t total;
  std::uint64_t reserved;
  std::uint64_t free;
  std::uint64_t used;
};
static_assert(sizeof(MemoryV2) == 40 && offsetof(MemoryV2, total) == 8 && offsetof(MemoryV2, used) == 32);

// nvmlTemperature_v1_t, degrees Celsius
struct TemperatureV1 {
  std::uint32_t version;
  std::int32_t sensor_type;  // nvmlTemperatureSensors_t
  std::int32_t temperature;
};
static_assert(sizeof(TemperatureV1) == 12);

// nvmlPciInfo_t
struct PciInfo {
  std::array<char, 16> bus_id_legacy;  // "0008:06:00.0"
  std::uint32_t domain;
  std::uint32_t bus;
  std::uint32_t device;
  std::uint32_t pci_device_id;  // device << 16 | vendor
  std::uint32_t pci_subsystem_id;
  std::array<char, 32> bus_id;  // "00000008:06:00.0"
};
static_assert(sizeof(PciInfo) == 68 && alignof(PciInfo) == 4 && offsetof(PciInfo, domain) == 16);
static_assert(offsetof(PciInfo, pci_device_id) == 28 && offsetof(PciInfo, bus_id) == 36);

// NVML_STRUCT_VERSION(name, n)
template <class T>
inline constexpr std::uint32_t struct_version(std::uint32_t n) {
  return static_cast<std::uint32_t>(sizeof(T)) | (n << 24);
}
inline constexpr std::uint32_t memory_v2_version = struct_version<MemoryV2>(2);
inline constexpr std::uint32_t temperature_v1_version = struct_version<TemperatureV1>(1);
static_assert(memory_v2_version == 0x02000028 && temperature_v1_version == 0x0100000C);

inline constexpr std::int32_t temperature_sensor_gpu = 0;  // NVML_TEMPERATURE_GPU
inline constexpr std::uint32_t mig_disabled = 0;           // NVML_DEVICE_MIG_DISABLE
inline constexpr std::uint32_t mig_enabled = 1;            // NVML_DEVICE_MIG_ENABLE

inline constexpr std::uint32_t name_bytes = 96;            // NVML_DEVICE_NAME_V2_BUFFER_SIZE
inline constexpr std::uint32_t uuid_bytes = 96;            // NVML_DEVICE_UUID_V2_BUFFER_SIZE
inline constexpr std::uint32_t driver_version_bytes = 80;  // NVML_SYSTEM_DRIVER_VERSION_BUFFER_SIZE
inline constexpr std::uint32_t serial_bytes = 30;          // NVML_DEVICE_SERIAL_BUFFER_SIZE
inline constexpr std::uint32_t nvidia_vendor_id = 0x10DE;  // in the lower half of pci_device_id

// Signatures of the exported functions. The header's macros map plain names to the newest suffix; dlsym needs the
// suffixed name, which is the first word of each comment.
using InitFn = Return();                                           // nvmlInit_v2
using ShutdownFn = Return();                                       // nvmlShutdown
using ErrorStringFn = const char*(Return);                         // nvmlErrorString
using SystemGetTextFn = Return(char*, std::uint32_t);              // nvmlSystemGetDriverVersion, ...NVMLVersion
using DeviceGetCountFn = Return(std::uint32_t*);                   // nvmlDeviceGetCount_v2
using DeviceGetHandleByIndexFn = Return(std::uint32_t, Device*);   // nvmlDeviceGetHandleByIndex_v2
using DeviceGetTextFn = Return(Device, char*, std::uint32_t);      // nvmlDeviceGetName, ...UUID, ...Serial
using DeviceGetPciInfoFn = Return(Device, PciInfo*);               // nvmlDeviceGetPciInfo_v3
using DeviceGetUtilizationRatesFn = Return(Device, Utilization*);  // nvmlDeviceGetUtilizationRates
using DeviceGetMemoryInfoV2Fn = Return(Device, MemoryV2*);         // nvmlDeviceGetMemoryInfo_v2
using DeviceGetMemoryInfoFn = Return(Device, Memory*);             // nvmlDeviceGetMemoryInfo
using DeviceGetTemperatureVFn = Return(Device, TemperatureV1*);    // nvmlDeviceGetTemperatureV
using DeviceGetTemperatureFn = Return(Device, std::int32_t, std::uint32_t*);  // nvmlDeviceGetTemperature
// nvmlDeviceGetPowerUsage, ...PowerManagementLimit, ...EnforcedPowerLimit (milliwatts), ...FanSpeed (percent),
// ...MaxMigDeviceCount, ...MinorNumber
using DeviceGetU32Fn = Return(Device, std::uint32_t*);
// nvmlDeviceGetEncoderUtilization, ...DecoderUtilization (percent, sample period in microseconds);
// nvmlDeviceGetMigMode (current, pending)
using DeviceGetU32PairFn = Return(Device, std::uint32_t*, std::uint32_t*);
using DeviceGetMigDeviceHandleByIndexFn = Return(Device, std::uint32_t, Device*);  // same name with nvml

// Exported by the simulated driver alone; its presence is the only question that production code may ask.
inline constexpr const char* simulated_symbol = "gputach_simulated";

}  // namespace gputach::nvml
