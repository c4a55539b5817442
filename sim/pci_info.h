// Purpose: nvmlPciInfo_t and the sizes of the texts that identify a board. Only the simulated driver declares them: it
//          answers what gputach itself never asks.
// Source: nvml.h 13.3.29.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace gputach::sim {

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

inline constexpr std::uint32_t nvidia_vendor_id = 0x10DE;
inline constexpr std::uint32_t serial_bytes = 30;  // NVML_DEVICE_SERIAL_BUFFER_SIZE

}  // namespace gputach::sim
