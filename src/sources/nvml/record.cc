#include "sources/nvml/record.h"

#include <algorithm>
#include <utility>

#include "base/limits.h"

namespace gputach::nvml {
namespace {

constexpr double mebibyte = 1 << 20;
constexpr std::size_t instances_max = 7;  // as many as a scenario can hold, and as many as any board has

// In the order of Query.
constexpr auto query_symbols = std::to_array<const char*>({
    "nvmlInit_v2",
    "nvmlSystemGetDriverVersion",
    "nvmlSystemGetNVMLVersion",
    "nvmlDeviceGetCount_v2",
    "nvmlDeviceGetHandleByIndex_v2",
    "nvmlDeviceGetName",
    "nvmlDeviceGetUUID",
    "nvmlDeviceGetSerial",
    "nvmlDeviceGetMinorNumber",
    "nvmlDeviceGetPciInfo_v3",
    "nvmlDeviceGetUtilizationRates",
    "nvmlDeviceGetMemoryInfo_v2",
    "nvmlDeviceGetMemoryInfo",
    "nvmlDeviceGetTemperatureV",
    "nvmlDeviceGetTemperature",
    "nvmlDeviceGetPowerUsage",
    "nvmlDeviceGetPowerManagementLimit",
    "nvmlDeviceGetEnforcedPowerLimit",
    "nvmlDeviceGetFanSpeed",
    "nvmlDeviceGetEncoderUtilization",
    "nvmlDeviceGetDecoderUtilization",
    "nvmlDeviceGetMigMode",
    "nvmlDeviceGetMaxMigDeviceCount",
    "nvmlDeviceGetMigDeviceHandleByIndex",
});
static_assert(query_symbols.size() == query_count);
static_assert(static_cast<std::size_t>(Query::mig_handle) + 1 == query_count);
static_assert(static_cast<std::size_t>(Figure::decoder) + 1 == figure_keys.size());

constexpr std::size_t at(Query query) {
  return static_cast<std::size_t>(query);
}

double mib(std::uint64_t bytes) {
  return static_cast<double>(bytes) / mebibyte;
}

bool selected(const DeviceSelection& wanted, unsigned index, const std::string& uuid) {
  return wanted.all() || uuid.empty() || std::ranges::find(wanted.indices, index) != wanted.indices.end() ||
         std::ranges::find(wanted.uuids, uuid) != wanted.uuids.end();
}

using Target = WitnessedCalls::Target;
using Code = std::optional<Return>;

Code ask_text(const WitnessedCalls& calls, Query query, const Target& target, std::string& out) {
  std::array<char, std::max(name_bytes, uuid_bytes) + 1> text{};
  const std::uint32_t bytes = query == Query::serial ? serial_bytes : static_cast<std::uint32_t>(text.size() - 1);
  const Code code = calls.ask<DeviceGetTextFn>(query, target, target.device, text.data(), bytes);
  text.back() = '\0';
  if (code == Return::success) out = text.data();
  return code;
}

Code ask_system_text(const WitnessedCalls& calls, Query query, std::string& out) {
  std::array<char, driver_version_bytes + 1> text{};
  const Code code = calls.ask<SystemGetTextFn>(query, {}, text.data(), driver_version_bytes);
  text.back() = '\0';
  if (code == Return::success) out = text.data();
  return code;
}

// What one call answers, in the scenario's units.
struct Told {
  Figure figure{};
  double value = 0;
};
using Answer = std::array<std::optional<Told>, 3>;

Code ask_utilization(const WitnessedCalls& calls, const Target& target, Answer& out) {
  Utilization rates{};
  const Code code = calls.ask<DeviceGetUtilizationRatesFn>(Query::utilization, target, target.device, &rates);
  out = {Told{Figure::utilization, static_cast<double>(rates.gpu)},
         Told{Figure::memory_utilization, static_cast<double>(rates.memory)}};
  return code;
}

Code ask_memory_v2(const WitnessedCalls& calls, const Target& target, Answer& out) {
  MemoryV2 memory{};
  memory.version = memory_v2_version;
  const Code code = calls.ask<DeviceGetMemoryInfoV2Fn>(Query::memory_v2, target, target.device, &memory);
  out = {Told{Figure::memory_total, mib(memory.total)}, Told{Figure::memory_used, mib(memory.used)},
         Told{Figure::memory_reserved, mib(memory.reserved)}};
  return code;
}

Code ask_memory_v1(const WitnessedCalls& calls, const Target& target, Answer& out) {
  Memory memory{};
  const Code code = calls.ask<DeviceGetMemoryInfoFn>(Query::memory_v1, target, target.device, &memory);
  out = {Told{Figure::memory_total, mib(memory.total)}, Told{Figure::memory_used, mib(memory.used)}};
  return code;
}

Code ask_temperature_v(const WitnessedCalls& calls, const Target& target, Answer& out) {
  TemperatureV1 temperature{};
  temperature.version = temperature_v1_version;
  temperature.sensor_type = temperature_sensor_gpu;
  const Code code = calls.ask<DeviceGetTemperatureVFn>(Query::temperature_v, target, target.device, &temperature);
  out = {Told{Figure::temperature, static_cast<double>(temperature.temperature)}};
  return code;
}

Code ask_temperature(const WitnessedCalls& calls, const Target& target, Answer& out) {
  std::uint32_t celsius = 0;
  const Code code =
      calls.ask<DeviceGetTemperatureFn>(Query::temperature, target, target.device, temperature_sensor_gpu, &celsius);
  out = {Told{Figure::temperature, static_cast<double>(celsius)}};
  return code;
}

template <Query query, Figure figure, int per_unit>
Code ask_u32(const WitnessedCalls& calls, const Target& target, Answer& out) {
  std::uint32_t value = 0;
  const Code code = calls.ask<DeviceGetU32Fn>(query, target, target.device, &value);
  out = {Told{figure, static_cast<double>(value) / per_unit}};
  return code;
}

template <Query query, Figure figure>
Code ask_codec(const WitnessedCalls& calls, const Target& target, Answer& out) {
  std::uint32_t value = 0;
  std::uint32_t period_us = 0;
  const Code code = calls.ask<DeviceGetU32PairFn>(query, target, target.device, &value, &period_us);
  out = {Told{figure, static_cast<double>(value)}};
  return code;
}

struct FigureCall {
  Query query;
  Code (*ask)(const WitnessedCalls&, const Target&, Answer&);
};

// Where two tell one figure, the first that answers is believed, as everywhere.
// clang-format off
constexpr auto figure_calls = std::to_array<FigureCall>({
    {Query::utilization,          ask_utilization},
    {Query::memory_v2,            ask_memory_v2},
    {Query::memory_v1,            ask_memory_v1},
    {Query::temperature_v,        ask_temperature_v},
    {Query::temperature,          ask_temperature},
    {Query::power,                ask_u32<Query::power, Figure::power, 1000>},
    {Query::power_limit,          ask_u32<Query::power_limit, Figure::power_limit, 1000>},
    {Query::enforced_power_limit, ask_u32<Query::enforced_power_limit, Figure::enforced_power_limit, 1000>},
    {Query::fan,                  ask_u32<Query::fan, Figure::fan, 1>},
    {Query::encoder,              ask_codec<Query::encoder, Figure::encoder>},
    {Query::decoder,              ask_codec<Query::decoder, Figure::decoder>},
});
// clang-format on

// An instance that hides its memory, being somebody else's, is as good as none.
bool read_instance_memory(const WitnessedCalls& calls, const Target& target, RecordedInstance& out) {
  Answer memory;
  if (ask_memory_v2(calls, target, memory) != Return::success &&
      ask_memory_v1(calls, target, memory) != Return::success) {
    return false;
  }
  out.memory_total_mib = memory[0]->value;
  out.memory_used_mib = memory[1]->value;
  return true;
}

void widen(std::optional<FigureRange>& range, double value) {
  range = range ? FigureRange{std::min(range->low, value), std::max(range->high, value)} : FigureRange{value, value};
}

}  // namespace

const char* symbol_of(Query query) {
  return query_symbols[at(query)];
}

WitnessedCalls::WitnessedCalls(const Library& library, CallWitness& witness) : witness_(witness) {
  for (std::size_t i = 0; i < query_count; ++i) addresses_[i] = library.find(query_symbols[i]);
}

std::vector<const char*> WitnessedCalls::absent() const {
  std::vector<const char*> names;
  for (std::size_t i = 0; i < query_count; ++i) {
    if (addresses_[i] == nullptr) names.push_back(query_symbols[i]);
  }
  return names;
}

Recorder::Recorder(const Library& library, CallWitness& witness) : calls_(library, witness) {
  recording_.origin = library.simulated() ? Origin::simulator : Origin::driver;
  recording_.absent = calls_.absent();
}

void Recorder::identify(const DeviceSelection& wanted) {
  auto& codes = recording_.codes;
  codes[at(Query::init)] = calls_.ask<InitFn>(Query::init, {});
  if (codes[at(Query::init)] != Return::success) return;
  codes[at(Query::driver_version)] = ask_system_text(calls_, Query::driver_version, recording_.driver_version);
  codes[at(Query::nvml_version)] = ask_system_text(calls_, Query::nvml_version, recording_.nvml_version);
  std::uint32_t count = 0;
  codes[at(Query::device_count)] = calls_.ask<DeviceGetCountFn>(Query::device_count, {}, &count);
  if (codes[at(Query::device_count)] != Return::success) return;
  for (unsigned index = 0; index < std::min(count, limits::gpus_max); ++index) {
    // By index alone it is decided without waking the GPU.
    if (wanted.uuids.empty() && !selected(wanted, index, "by index")) continue;
    RecordedGpu gpu;
    gpu.index = index;
    Target target{.gpu = index};
    gpu.codes[at(Query::handle)] = calls_.ask<DeviceGetHandleByIndexFn>(Query::handle, target, index, &target.device);
    if (gpu.code(Query::handle) != Return::success) target.device = nullptr;
    if (target.device != nullptr) identify_gpu(target, gpu);
    if (!selected(wanted, index, gpu.uuid)) continue;
    devices_.push_back(target.device);
    recording_.gpus.push_back(std::move(gpu));
  }
}

void Recorder::identify_gpu(const Target& target, RecordedGpu& gpu) {
  gpu.codes[at(Query::name)] = ask_text(calls_, Query::name, target, gpu.name);
  gpu.codes[at(Query::uuid)] = ask_text(calls_, Query::uuid, target, gpu.uuid);
  gpu.codes[at(Query::serial)] = ask_text(calls_, Query::serial, target, gpu.serial);
  std::uint32_t minor_number = 0;
  const auto numbered = calls_.ask<DeviceGetU32Fn>(Query::minor_number, target, target.device, &minor_number);
  gpu.codes[at(Query::minor_number)] = numbered;
  if (numbered == Return::success) gpu.minor_number = minor_number;
  PciInfo pci{};
  const auto located = calls_.ask<DeviceGetPciInfoFn>(Query::pci_info, target, target.device, &pci);
  gpu.codes[at(Query::pci_info)] = located;
  if (located == Return::success) gpu.pci = pci;

  std::uint32_t current = 0;
  std::uint32_t pending = 0;
  const auto mode = calls_.ask<DeviceGetU32PairFn>(Query::mig_mode, target, target.device, &current, &pending);
  gpu.codes[at(Query::mig_mode)] = mode;
  if (mode == Return::success) gpu.mig = current == mig_disabled ? MigMode::off : MigMode::on;
  read_instances(target, gpu);
}

void Recorder::read_instances(const Target& parent, RecordedGpu& gpu) {
  std::uint32_t slots = 0;
  const auto counted = calls_.ask<DeviceGetU32Fn>(Query::mig_count, parent, parent.device, &slots);
  gpu.codes[at(Query::mig_count)] = counted;
  if (counted != Return::success) return;
  if (gpu.mig == MigMode::unknown) gpu.mig = slots == 0 ? MigMode::off : MigMode::on;
  if (gpu.mig != MigMode::on) return;
  for (unsigned slot = 0; slot < std::min<std::size_t>(slots, instances_max); ++slot) {
    Target target{.gpu = parent.gpu};
    const auto code =
        calls_.ask<DeviceGetMigDeviceHandleByIndexFn>(Query::mig_handle, parent, parent.device, slot, &target.device);
    // These two say that the slot is empty.
    if (code != Return::not_found && code != Return::invalid_argument) gpu.codes[at(Query::mig_handle)] = code;
    if (code != Return::success) continue;
    RecordedInstance instance;
    instance.slot = slot;
    (void)ask_text(calls_, Query::name, target, instance.name);
    (void)ask_text(calls_, Query::uuid, target, instance.uuid);
    if (read_instance_memory(calls_, target, instance)) gpu.instances.push_back(std::move(instance));
  }
}

void Recorder::read_figures() {
  for (std::size_t i = 0; i < recording_.gpus.size(); ++i) {
    RecordedGpu& gpu = recording_.gpus[i];
    if (devices_[i] != nullptr) read_gpu({.gpu = gpu.index, .device = devices_[i]}, gpu);
  }
  first_pass_ = false;
}

void Recorder::read_gpu(const Target& target, RecordedGpu& gpu) {
  std::array<bool, figure_keys.size()> told{};
  for (const FigureCall& call : figure_calls) {
    Answer answer;
    const Code code = call.ask(calls_, target, answer);
    if (first_pass_) gpu.codes[at(call.query)] = code;
    if (code != Return::success) continue;
    if (call.query == Query::memory_v1) gpu.memory_v1_total_mib = answer[0]->value;
    for (const std::optional<Told>& one : answer) {
      if (!one || std::exchange(told[static_cast<std::size_t>(one->figure)], true)) continue;
      std::optional<FigureRange>& range = gpu.figures[static_cast<std::size_t>(one->figure)];
      if (first_pass_ || range) widen(range, one->value);
    }
  }
}

}  // namespace gputach::nvml
