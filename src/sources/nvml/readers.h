// Purpose: THE table of how each metric is read from the driver, and one pass over it for one device.
// Units: the driver's own are converted to the catalogue's here and nowhere else.
// Owns: nothing. DeviceState belongs to the caller, one per device handle.
// Threads: any; different devices at the same time, never one device twice.
// Fails: never; every reading gets a value or the reason why there is none.
// Source: nvml.h 13.3.29.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "model/entity.h"
#include "sources/nvml/library.h"
#include "sources/nvml/returns.h"

namespace gputach::nvml {

// What is asked together. The calls of a group are tried in turn until one is not refused for good.
enum class Group : unsigned char { utilization, memory, temperature, power, power_limit, fan, encoder, decoder };
inline constexpr std::size_t group_count = 8;

// What one call answers, in the driver's units. Doubles are exact for bytes up to 2^53.
using Numbers = std::array<double, 2>;

// Values above the catalogue's maximum, up to twice of it, where the driver documents them.
enum class Excess : unsigned char { out_of_range, clamped };

struct MetricReader {
  MetricId metric;
  Group group;
  unsigned char number;  // which of the group's Numbers
  double divisor;        // driver's units in one of the catalogue's
  Excess excess = Excess::out_of_range;
};

// One row per metric; the rest of the catalogue is derived from these.
[[nodiscard]] std::span<const MetricReader> metric_readers();

// Multi-Instance GPU: whether a device is partitioned. Unknown also where the driver does not let us ask.
enum class MigMode : unsigned char { unknown, off, on };

inline constexpr std::size_t driver_call_count = 13;
inline constexpr auto mig_mode_interval = std::chrono::seconds(5);
inline constexpr auto permission_interval = std::chrono::minutes(1);
inline constexpr std::uint32_t mig_slots_max = 16;  // 7 on every board so far

// What earlier passes have taught about a device, so that a pass does not repeat calls that cannot succeed.
struct DeviceState {
  std::array<Return, driver_call_count> refusals{};  // success: not refused
  MigMode mig = MigMode::unknown;
  Instant mig_due = Instant::min();         // when to ask for the mode again; max() for never
  Instant permission_due = Instant::max();  // when to ask again for what was not permitted
};

struct PassInput {
  const Functions& driver;
  Device device;
  Instant now;
  const char* meminfo_path;
};

// Why the device must not be asked any more with this handle, or success. invalid_argument: every call refused the
// handle, which is what remains of a GPU that was removed.
using PassEnd = Return;

// Fills condition, fault and all readings. A reading that fails without being absent is asked for once more, at once.
[[nodiscard]] PassEnd read_metrics(const PassInput& input, DeviceState& state, Entity& out);

// The words for `fault`: "GPU is lost", or "GetPowerUsage: Unknown Error".
[[nodiscard]] std::string describe_failure(std::string_view call, Return code);

}  // namespace gputach::nvml
