// Purpose: what a simulated machine looks like and what goes wrong with it, as read from one scenario file.
// Units: in the names; a fault's `value` is in the raw unit of the call it falsifies (milliwatts, bytes, percent).
// Owns: a Scenario is a value; it is immutable once it is shared.
// Threads: any; the parser is pure.
// Fails: parse_scenario() with one sentence "SOURCE:LINE: what is wrong"; nothing is half read.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sources/nvml/abi.h"
#include "symbols.h"

namespace gputach::sim {

inline constexpr std::size_t gpus_max = 64;
inline constexpr std::size_t mig_devices_max = 7;
inline constexpr std::size_t faults_max = 64;
inline constexpr std::size_t scenario_bytes_max = 1 << 20;
inline constexpr std::size_t text_bytes_max = 79;  // fits the smallest buffer that NVML's header names for a text

// The moving figures of a GPU; the name in metric_keys is the key in a scenario file.
enum class Metric : unsigned char {
  utilization,
  memory_utilization,
  memory_used,
  temperature,
  power,
  power_limit,
  enforced_power_limit,
  fan,
  encoder,
  decoder,
  memory_temperature,
  margin_temperature,
  average_power,
  instant_power,
  memory_power,
  module_power,
  sm_clock,
  memory_clock,
  video_clock,
  pcie_tx,
  pcie_rx,
};
inline constexpr auto metric_keys = std::to_array<std::string_view>({
    "utilization_percent",
    "memory_utilization_percent",
    "memory_used_mib",
    "temperature_c",
    "power_w",
    "power_limit_w",
    "enforced_power_limit_w",
    "fan_percent",
    "encoder_percent",
    "decoder_percent",
    "memory_temperature_c",
    "margin_temperature_c",
    "average_power_w",
    "instant_power_w",
    "memory_power_w",
    "module_power_w",
    "sm_clock_mhz",
    "memory_clock_mhz",
    "video_clock_mhz",
    "pcie_tx_kb_s",
    "pcie_rx_kb_s",
});

// What a board has and keeps; the name in property_keys is the key in a scenario file, the numbers are its bounds.
enum class Property : unsigned char {
  pci_device_id,
  bar1_total,
  power_limit_min,
  power_limit_default,
  power_limit_max,
  sm_clock_max,
  memory_clock_max,
  video_clock_max,
  performance_state,
  performance_state_busy,
  shutdown_temperature,
  slowdown_temperature,
  memory_temperature_max,
  temperature_max,
  shutdown_margin,
  slowdown_margin,
  memory_margin_max,
  margin_max,
  pcie_generation,
  pcie_generation_max,
  pcie_width,
  pcie_width_max,
  remap_banks,
  retired_pages,
  nvlink_count,
  nvlink_rate,
  fabric_state,
  fabric_clique,
  chassis_slot,
  tray_index,
};
struct PropertyKey {
  std::string_view name;
  std::int64_t min;
  std::int64_t max;
};
inline constexpr auto property_keys = std::to_array<PropertyKey>({
    {"pci_device_id", 1, 0xFFFF},  // without NVIDIA's vendor number
    {"bar1_total_mib", 0, 1 << 30},
    {"power_limit_min_w", 0, 100'000},
    {"power_limit_default_w", 0, 100'000},
    {"power_limit_max_w", 0, 100'000},
    {"sm_clock_max_mhz", 0, 100'000},
    {"memory_clock_max_mhz", 0, 100'000},
    {"video_clock_max_mhz", 0, 100'000},
    {"performance_state", 0, 32},
    {"performance_state_busy", 0, 32},
    {"shutdown_temperature_c", 0, 200},
    {"slowdown_temperature_c", 0, 200},
    {"memory_temperature_max_c", 0, 200},
    {"temperature_max_c", 0, 200},
    {"shutdown_margin_c", -100, 100},
    {"slowdown_margin_c", -100, 100},
    {"memory_margin_max_c", -100, 100},
    {"margin_max_c", -100, 100},
    {"pcie_generation", 1, 16},
    {"pcie_generation_max", 1, 16},
    {"pcie_width", 1, 32},
    {"pcie_width_max", 1, 32},
    {"remap_banks", 0, 1 << 20},
    {"retired_pages", 0, 1 << 20},
    {"nvlink_count", 0, 64},
    {"nvlink_mb_s", 0, 1'000'000},
    {"fabric_state", 0, 3},
    {"fabric_clique", 0, 0xFFFFFFFF},
    {"chassis_slot", 0, 255},
    {"tray_index", 0, 255},
});
static_assert(static_cast<std::size_t>(Property::tray_index) + 1 == property_keys.size());

// What a board lacks, or has switched off or on; the name in feature_keys is the key in a scenario file.
enum class Feature : unsigned char { mig, ecc, sram_ecc_detail, persistence, gpm, c2c };
inline constexpr auto feature_keys =
    std::to_array<std::string_view>({"mig", "ecc", "sram_ecc_detail", "persistence", "gpm", "c2c"});
enum class Mode : unsigned char { not_supported, disabled, enabled };

// How busy a GPU is, 0 to 1: a new level between low and high every period, smoothly reached.
struct Load {
  double low = 0;
  double high = 0;
  double period_s = 20;
};

// A figure that follows the load of its GPU; idle == busy and no noise make a constant.
struct Curve {
  double idle = 0;
  double busy = 0;
  double noise = 0;  // at most this much is added or taken away
  double lag_s = 0;  // time constant with which the figure follows the load
};

struct MigInstance {
  unsigned slot = 0;
  std::string name;
  std::string uuid;
  std::string profile;  // "1g.10gb"
  unsigned gpu_instance_id = 0;
  unsigned compute_instance_id = 0;
  unsigned sm_count = 0;
  double memory_total_mib = 0;
  double memory_used_mib = 0;
  double bar1_total_mib = 0;
};

// "00000008:06:00.0"
struct PciAddress {
  std::uint32_t domain = 0;
  std::uint32_t bus = 0;
  std::uint32_t device = 0;

  bool operator==(const PciAddress&) const = default;
};

struct Gpu {
  std::string name = "NVIDIA Simulated GPU";
  std::string uuid;
  PciAddress pci;
  unsigned minor_number = 0;  // of its device node
  unsigned module_id = 0;
  std::string serial;       // empty: NOT_SUPPORTED; two GPUs of one board share theirs
  std::string part_number;  // empty: NOT_SUPPORTED
  Load load;
  std::optional<double> memory_total_mib;  // none: the board answers NOT_SUPPORTED, as unified-memory parts do
  double memory_reserved_mib = 0;
  std::array<std::optional<Curve>, metric_keys.size()> curves;               // by Metric; none: NOT_SUPPORTED
  std::array<std::optional<std::int64_t>, property_keys.size()> properties;  // by Property; none: NOT_SUPPORTED
  std::array<Mode, feature_keys.size()> features{};                          // by Feature
  std::vector<MigInstance> mig_instances;
  std::vector<std::pair<Symbol, nvml::Return>> returns;  // calls which this board always answers with a code

  [[nodiscard]] const std::optional<Curve>& curve(Metric metric) const {
    return curves[static_cast<std::size_t>(metric)];
  }
  [[nodiscard]] std::optional<std::int64_t> property(Property property) const {
    return properties[static_cast<std::size_t>(property)];
  }
  [[nodiscard]] Mode feature(Feature feature) const { return features[static_cast<std::size_t>(feature)]; }
};

struct Fault {
  std::vector<unsigned> gpus;  // empty: all
  std::vector<Symbol> calls;   // empty: every call that names a device, fetching its handle included
  std::vector<Symbol> except;
  double after_s = 0;  // since the library was loaded
  double for_s = std::numeric_limits<double>::infinity();
  unsigned every = 1;  // only each n-th matching call
  double delay_ms = 0;
  bool hang = false;       // until the fault is over
  bool hold_lock = false;  // while delayed or hanging, every other call of the library waits as well
  bool crash = false;
  std::optional<std::int64_t> value;
  nvml::Return result = nvml::Return::success;  // success: the call goes on
};

// What the total of the first memory structure counts: since R510 all of the memory, before that what is not reserved.
enum class MemoryV1Total : unsigned char { all, unreserved };

struct Driver {
  std::string version = "580.105.08";
  std::string nvml_version = "13.580.105.08";
  nvml::Return init = nvml::Return::success;
  double init_delay_ms = 0;
  double first_handle_delay_ms = 0;
  MemoryV1Total memory_v1_total = MemoryV1Total::all;
  unsigned process_entry_bytes = 24;  // some builds of R530 and R535 write 32 behind the same name
  std::vector<Symbol> absent;         // answer FUNCTION_NOT_FOUND, where the build of the library has them at all
};

struct Scenario {
  std::string description;
  std::uint64_t seed = 1;
  Driver driver;
  std::vector<Gpu> gpus;
  std::vector<Fault> faults;
};

// "name=text" from the query part of GPUTACH_SIM_SCENARIO; replaces a default of the file's [parameters].
struct Parameter {
  std::string name;
  std::string text;
};

[[nodiscard]] std::expected<Scenario, std::string> parse_scenario(std::string_view text, std::string_view source,
                                                                  const std::vector<Parameter>& parameters);

}  // namespace gputach::sim
