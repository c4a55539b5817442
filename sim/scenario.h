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
});

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
  double memory_total_mib = 0;
  double memory_used_mib = 0;
};

enum class MigMode : unsigned char { not_supported, disabled, enabled };

struct Gpu {
  std::string name = "NVIDIA Simulated GPU";
  std::string uuid;
  Load load;
  std::optional<double> memory_total_mib;  // none: the board answers NOT_SUPPORTED, as unified-memory parts do
  double memory_reserved_mib = 0;
  std::array<std::optional<Curve>, metric_keys.size()> curves;  // by Metric; none: NOT_SUPPORTED
  MigMode mig = MigMode::not_supported;
  std::vector<MigInstance> mig_instances;
  std::vector<std::pair<Symbol, nvml::Return>> returns;  // calls which this board always answers with a code

  [[nodiscard]] const std::optional<Curve>& curve(Metric metric) const {
    return curves[static_cast<std::size_t>(metric)];
  }
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

struct Driver {
  std::string version = "580.105.08";
  std::string nvml_version = "13.580.105.08";
  nvml::Return init = nvml::Return::success;
  double init_delay_ms = 0;
  double first_handle_delay_ms = 0;
  std::vector<Symbol> absent;  // answer FUNCTION_NOT_FOUND
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
