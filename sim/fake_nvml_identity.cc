// The exported C functions that say which board a device is.
#include <array>
#include <cstdio>
#include <type_traits>

#include "exported.h"

namespace gputach::sim {
namespace {

// snprintf's "%0*X:%02X:%02X.0" into a buffer that is zero after the text.
template <std::size_t size>
void write_bus_id(std::array<char, size>& out, const PciAddress& pci, int domain_digits) {
  out = {};
  std::snprintf(out.data(), size, "%0*X:%02X:%02X.0", domain_digits, pci.domain, pci.bus, pci.device);
}

}  // namespace
}  // namespace gputach::sim

using namespace gputach::nvml;
using namespace gputach::sim;

#pragma GCC visibility push(default)
extern "C" {

Return nvmlDeviceGetPciInfo_v3(Device device, PciInfo* out) {
  return Call().run([&](Engine& sim) {
    const auto access = sim.enter(symbol("nvmlDeviceGetPciInfo_v3"), device, pointers(out));
    if (!access) return access.error();
    if (access->mig != nullptr) return Return::not_supported;
    const PciAddress& pci = access->gpu->pci;
    const auto device_id = static_cast<std::uint32_t>(access->gpu->property(Property::pci_device_id).value_or(0));
    *out = {.bus_id_legacy = {},
            .domain = pci.domain,
            .bus = pci.bus,
            .device = pci.device,
            .pci_device_id = device_id << 16U | nvidia_vendor_id,
            .pci_subsystem_id = 0,
            .bus_id = {}};
    write_bus_id(out->bus_id_legacy, pci, 4);
    write_bus_id(out->bus_id, pci, 8);
    return Return::success;
  });
}

Return nvmlDeviceGetSerial(Device device, char* out, std::uint32_t size) {
  return Call().run([&](Engine& sim) {
    const auto access = sim.enter(symbol("nvmlDeviceGetSerial"), device, pointers(out));
    if (!access) return access.error();
    if (access->mig != nullptr || access->gpu->serial.empty()) return Return::not_supported;
    return copy_text(access->gpu->serial, out, size);
  });
}

Return nvmlDeviceGetMinorNumber(Device device, std::uint32_t* out) {
  return device_u32(symbol(__func__), device, out, [](const Access& access) -> std::expected<std::int64_t, Return> {
    if (access.garbage) return *access.garbage;
    if (access.mig != nullptr) return std::unexpected(Return::not_supported);
    return access.gpu->minor_number;
  });
}

}  // extern "C"
#pragma GCC visibility pop

static_assert(std::is_same_v<decltype(nvmlDeviceGetPciInfo_v3), DeviceGetPciInfoFn>);
static_assert(std::is_same_v<decltype(nvmlDeviceGetSerial), DeviceGetTextFn>);
static_assert(std::is_same_v<decltype(nvmlDeviceGetMinorNumber), DeviceGetU32Fn>);
