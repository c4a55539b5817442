// Purpose: everything that can be learnt of a driver's GPUs as plain values, refusals included: what a scenario of the
//          simulated driver is written from.
// Units: the scenario's, as the table of figures says; a range is what repeated passes have seen.
// Owns: a Recording is a value. The library and the witness must outlive a Recorder.
// Threads: one. A driver call may block or crash; whoever cannot afford that runs it in a process of its own.
// Fails: never; a call that is refused or left out is part of the recording.
// Source: nvml.h 13.3.29.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sources/nvml/library.h"
#include "sources/nvml/nvml_source.h"

namespace gputach::nvml {

// Every function that is asked; query_rows in record.cc has their names.
enum class Query : unsigned char {
  init,
  driver_version,
  nvml_version,
  device_count,
  handle,
  name,
  uuid,
  serial,
  minor_number,
  pci_info,
  utilization,
  memory_v2,
  memory_v1,
  temperature_v,
  temperature,
  power,
  power_limit,
  enforced_power_limit,
  fan,
  encoder,
  decoder,
  mig_mode,
  mig_count,
  mig_handle,
};
inline constexpr std::size_t query_count = 24;

[[nodiscard]] const char* symbol_of(Query query);

// The figures of a GPU; the name in figure_keys is the key in a scenario.
enum class Figure : unsigned char {
  memory_total,
  memory_reserved,
  memory_used,
  utilization,
  memory_utilization,
  temperature,
  power,
  power_limit,
  enforced_power_limit,
  fan,
  encoder,
  decoder,
};
inline constexpr auto figure_keys = std::to_array<std::string_view>({
    "memory_total_mib",
    "memory_reserved_mib",
    "memory_used_mib",
    "utilization_percent",
    "memory_utilization_percent",
    "temperature_c",
    "power_w",
    "power_limit_w",
    "enforced_power_limit_w",
    "fan_percent",
    "encoder_percent",
    "decoder_percent",
});

struct FigureRange {
  double low = 0;
  double high = 0;

  bool operator==(const FigureRange&) const = default;
};

// A partition of a GPU (Multi-Instance GPU).
struct RecordedInstance {
  unsigned slot = 0;
  std::string name;
  std::string uuid;
  double memory_total_mib = 0;
  double memory_used_mib = 0;
};

struct RecordedGpu {
  unsigned index = 0;  // the driver's
  std::string name;
  std::string uuid;
  std::string serial;
  std::optional<std::uint32_t> minor_number;
  std::optional<PciInfo> pci;
  MigMode mig = MigMode::unknown;
  std::vector<RecordedInstance> instances;
  std::array<std::optional<FigureRange>, figure_keys.size()> figures;
  std::array<std::optional<Return>, query_count> codes;  // of the first call; none: not asked
  std::optional<double> memory_v1_total_mib;             // as the first structure says it

  [[nodiscard]] const std::optional<FigureRange>& figure(Figure which) const {
    return figures[static_cast<std::size_t>(which)];
  }
  [[nodiscard]] std::optional<Return> code(Query query) const { return codes[static_cast<std::size_t>(query)]; }
};

// How a call ended that never came back.
enum class Stuck : unsigned char { hung, crashed };
struct StuckCall {
  const char* symbol = nullptr;
  std::optional<unsigned> gpu;  // none: the call names no device
  Stuck how = Stuck::hung;
};

struct Recording {
  Origin origin = Origin::driver;
  std::string driver_version;
  std::string nvml_version;
  std::array<std::optional<Return>, query_count> codes;  // of the calls that name no device
  std::vector<const char*> absent;                       // symbols that the library does not export
  std::vector<RecordedGpu> gpus;
  std::vector<StuckCall> stuck;  // filled in by the caller, who knows
};

// Some calls wake hardware and may take many seconds.
enum class Pace : unsigned char { quick, slow };

// Sees each call before and after it is made.
class CallWitness {
 public:
  virtual ~CallWitness() = default;
  [[nodiscard]] virtual bool may_call(const char* symbol, std::optional<unsigned> gpu, Pace pace) = 0;
  virtual void returned() = 0;
};

// The library's functions, each call seen by the witness.
class WitnessedCalls {
 public:
  struct Target {
    std::optional<unsigned> gpu;  // none: the call names no device
    Device device = nullptr;
  };

  WitnessedCalls(const Library& library, CallWitness& witness);

  // Nothing when the witness has it left out.
  template <class Fn, class... Args>
  [[nodiscard]] std::optional<Return> ask(Query query, const Target& target, Args... arguments) const {
    void* const address = addresses_[static_cast<std::size_t>(query)];
    if (address == nullptr) return Return::function_not_found;
    if (!witness_.may_call(symbol_of(query), target.gpu, pace_of(query))) return std::nullopt;
    const Return code = reinterpret_cast<Fn*>(address)(arguments...);
    witness_.returned();
    return code;
  }

  [[nodiscard]] std::vector<const char*> absent() const;

 private:
  [[nodiscard]] static Pace pace_of(Query query) {
    return query == Query::init || query == Query::handle ? Pace::slow : Pace::quick;
  }

  CallWitness& witness_;
  std::array<void*, query_count> addresses_{};
};

class Recorder {
 public:
  Recorder(const Library& library, CallWitness& witness);

  // Starts the driver and learns who is there. Once.
  void identify(const DeviceSelection& wanted);
  // The figures of every GPU; each pass after the first widens the ranges.
  void read_figures();

  [[nodiscard]] const Recording& recording() const { return recording_; }

 private:
  using Target = WitnessedCalls::Target;

  void identify_gpu(const Target& target, RecordedGpu& gpu);
  void read_instances(const Target& parent, RecordedGpu& gpu);
  void read_gpu(const Target& target, RecordedGpu& gpu);

  WitnessedCalls calls_;
  std::vector<Device> devices_;  // of recording_.gpus; null: no handle
  Recording recording_;
  bool first_pass_ = true;
};

}  // namespace gputach::nvml
