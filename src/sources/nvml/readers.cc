#include "sources/nvml/readers.h"

#include <algorithm>

#include "sources/nvml/meminfo.h"

namespace gputach::nvml {
namespace {

// One row is one line, so that the tables can be read down their columns.
// clang-format off
constexpr auto readers = std::to_array<MetricReader>({
    {id("utilization_ratio"),         Group::utilization, 0, 100},   // percent
    {id("memory_used_bytes"),         Group::memory,      0, 1},     // bytes
    {id("memory_total_bytes"),        Group::memory,      1, 1},     // bytes
    {id("temperature_celsius"),       Group::temperature, 0, 1},     // degrees Celsius
    {id("power_watts"),               Group::power,       0, 1000},  // milliwatts
    {id("power_limit_watts"),         Group::power_limit, 0, 1000},  // milliwatts
    {id("fan_speed_ratio"),           Group::fan,         0, 100, Excess::clamped},  // percent, "may exceed 100%"
    {id("encoder_utilization_ratio"), Group::encoder,     0, 100},   // percent
    {id("decoder_utilization_ratio"), Group::decoder,     0, 100},   // percent
});
// clang-format on

struct CallInput {
  const PassInput& pass;
  MigMode mig;
  Status refused;  // how the calls before it in the group were refused; ok when none was
};

// For a fallback that has nothing to say about this device: the weakest of refusals, it hides no other.
constexpr Return not_applicable = Return::function_not_found;

Return ask_utilization(const CallInput& in, Numbers& out) {
  Utilization answer{};
  const Return code = in.pass.driver.utilization_rates(in.pass.device, &answer);
  out = {static_cast<double>(answer.gpu), static_cast<double>(answer.memory)};
  return code;
}

Return ask_memory_v2(const Functions& driver, Device device, Numbers& out) {
  MemoryV2 answer{};
  answer.version = memory_v2_version;
  const Return code = driver.memory_info_v2(device, &answer);
  out = {static_cast<double>(answer.used), static_cast<double>(answer.total)};
  return code;
}

// Older than R510; `used` includes what the driver reserves (NVML does not say how much).
Return ask_memory_v1(const Functions& driver, Device device, Numbers& out) {
  Memory answer{};
  const Return code = driver.memory_info(device, &answer);
  out = {static_cast<double>(answer.used), static_cast<double>(answer.total)};
  return code;
}

// A container that was given some instances of a partitioned GPU may be refused the GPU's own figures.
Return ask_mig_memory(const CallInput& in, Numbers& sum) {
  if (in.mig == MigMode::off) return not_applicable;
  const Functions& driver = in.pass.driver;
  std::uint32_t slots = 0;
  if (const Return code = driver.max_mig_device_count(in.pass.device, &slots); code != Return::success) return code;
  sum = {};
  bool any = false;
  Return refusal = not_applicable;
  for (std::uint32_t slot = 0; slot < std::min(slots, mig_slots_max); ++slot) {
    Device instance{};
    Numbers one{};
    Return code = driver.mig_device_by_index(in.pass.device, slot, &instance);
    if (code == Return::success) {
      code = ask_memory_v2(driver, instance, one);
      if (info_of(code).reaction == Reaction::permanent) code = ask_memory_v1(driver, instance, one);
    }
    if (code == Return::success) {
      any = true;
      sum[0] += one[0];
      sum[1] += one[1];
    } else if (info_of(code).reaction == Reaction::permanent) {
      refusal = code;  // an instance of somebody else
    } else if (code != Return::not_found && code != Return::invalid_argument) {
      return code;
    }
    // Otherwise the slot is empty, or its instance was destroyed a moment ago.
  }
  return any ? Return::success : refusal;
}

// Parts that share the machine's memory say NOT_SUPPORTED to both memory calls.
Return ask_system_memory(const CallInput& in, Numbers& out) {
  if (in.refused != Status::unsupported || in.mig == MigMode::on) return not_applicable;
  const auto memory = read_meminfo(in.pass.meminfo_path);
  if (!memory) return not_applicable;
  out = {static_cast<double>(memory->used), static_cast<double>(memory->total)};
  return Return::success;
}

Return ask_temperature_v(const CallInput& in, Numbers& out) {
  TemperatureV1 answer{};
  answer.version = temperature_v1_version;
  answer.sensor_type = temperature_sensor_gpu;
  const Return code = in.pass.driver.temperature_v(in.pass.device, &answer);
  out[0] = static_cast<double>(answer.temperature);
  return code;
}

Return ask_temperature(const CallInput& in, Numbers& out) {
  std::uint32_t answer = 0;
  const Return code = in.pass.driver.temperature(in.pass.device, temperature_sensor_gpu, &answer);
  out[0] = static_cast<double>(answer);
  return code;
}

using AskDevice = Return(const Functions&, Device, Numbers&);

// Asked of the GPU as a whole, not of an instance.
template <AskDevice* Ask>
Return ask_whole(const CallInput& in, Numbers& out) {
  return Ask(in.pass.driver, in.pass.device, out);
}

template <DeviceGetU32Fn* Functions::* Function>
Return ask_u32(const CallInput& in, Numbers& out) {
  std::uint32_t answer = 0;
  const Return code = (in.pass.driver.*Function)(in.pass.device, &answer);
  out[0] = static_cast<double>(answer);
  return code;
}

template <DeviceGetU32PairFn* Functions::* Function>
Return ask_u32_of_period(const CallInput& in, Numbers& out) {
  std::uint32_t answer = 0;
  std::uint32_t period_us = 0;
  const Return code = (in.pass.driver.*Function)(in.pass.device, &answer, &period_us);
  out[0] = static_cast<double>(answer);
  return code;
}

// Whether a refusal holds until the handle or the mode changes, or may be different in the next pass.
enum class Refusal : unsigned char { lasting, passing };

struct DriverCall {
  Group group;
  std::string_view name;  // as in "nvmlDeviceGetName" without the common beginning
  Return (*ask)(const CallInput&, Numbers&);
  Refusal refusal = Refusal::lasting;
};

// clang-format off
constexpr auto calls = std::to_array<DriverCall>({
    {Group::utilization, "GetUtilizationRates",     ask_utilization},
    {Group::memory,      "GetMemoryInfo_v2",        ask_whole<ask_memory_v2>},
    {Group::memory,      "GetMemoryInfo",           ask_whole<ask_memory_v1>},
    {Group::memory,      "memory of MIG instances", ask_mig_memory,    Refusal::passing},
    {Group::memory,      "system memory",           ask_system_memory, Refusal::passing},
    {Group::temperature, "GetTemperatureV",         ask_temperature_v},
    {Group::temperature, "GetTemperature",          ask_temperature},
    {Group::power,       "GetPowerUsage",           ask_u32<&Functions::power_usage>},
    {Group::power_limit, "GetPowerManagementLimit", ask_u32<&Functions::power_management_limit>},
    {Group::power_limit, "GetEnforcedPowerLimit",   ask_u32<&Functions::enforced_power_limit>},
    {Group::fan,         "GetFanSpeed",             ask_u32<&Functions::fan_speed>},
    {Group::encoder,     "GetEncoderUtilization",   ask_u32_of_period<&Functions::encoder_utilization>},
    {Group::decoder,     "GetDecoderUtilization",   ask_u32_of_period<&Functions::decoder_utilization>},
});
// clang-format on
static_assert(calls.size() == driver_call_count);
static_assert(std::ranges::is_sorted(calls, {}, &DriverCall::group) && calls.back().group == Group{group_count - 1});

consteval bool each_metric_has_one_row() {
  for (std::size_t i = 0; i < readers.size(); ++i)
    for (std::size_t j = i + 1; j < readers.size(); ++j)
      if (readers[i].metric == readers[j].metric) return false;
  return true;
}
static_assert(each_metric_has_one_row());

// Of several refusals in one group, the one that tells most: not permitted, not there, not known.
constexpr Status stronger(Status a, Status b) {
  const auto rank = [](Status status) {
    switch (status) {
      case Status::no_permission: return 3;
      case Status::unsupported: return 2;
      case Status::driver_too_old: return 1;
      default: return 0;
    }
  };
  return rank(a) >= rank(b) ? a : b;
}

// What became of a group: ok with numbers, or the status and the call and code to blame.
struct Answer {
  Status status = Status::ok;
  std::string_view call;
  Return code = Return::success;
  Numbers numbers{};
};

Answer ask(const PassInput& pass, DeviceState& state, Group group) {
  Answer answer;
  for (std::size_t i = 0; i < calls.size(); ++i) {
    const DriverCall& call = calls[i];
    if (call.group != group) continue;
    Return code = state.refusals[i];
    if (code == Return::success) code = call.ask({pass, state.mig, answer.status}, answer.numbers);
    const ReturnInfo info = info_of(code);
    if (info.reaction != Reaction::permanent) return {info.status, call.name, code, answer.numbers};
    if (call.refusal == Refusal::lasting) {
      state.refusals[i] = code;
      if (code == Return::no_permission)
        state.permission_due = std::min(state.permission_due, pass.now + permission_interval);
    }
    if (stronger(answer.status, info.status) != answer.status) {
      answer.status = info.status;
      answer.call = call.name;
      answer.code = code;
    }
  }
  return answer;
}

// What is clamped; more than that is garbage, such as the driver's own "not available" (all bits set).
constexpr double excess_max = 10;

// The one place where a driver's number becomes a reading.
Reading convert(const MetricReader& reader, const Numbers& numbers) {
  const Metric& metric = reader.metric.metric();
  const double value = numbers[reader.number] / reader.divisor;
  if (value >= metric.min && value <= metric.max) return Reading::of(value);
  const bool excessive = value > metric.max && value <= excess_max * metric.max;
  if (reader.excess == Excess::clamped && excessive) return Reading::of(metric.max);
  return Reading::missing(Status::out_of_range);
}

// Returns the status of the worst reading of the group.
Status fill(const Answer& answer, Group group, Entity& out) {
  Status worst = answer.status;
  for (const MetricReader& reader : readers) {
    if (reader.group != group) continue;
    Reading& reading = out[reader.metric];
    reading = answer.status == Status::ok ? convert(reader, answer.numbers) : Reading::missing(answer.status);
    if (!reading.ok()) worst = reading.status;
  }
  return worst;
}

std::string describe(const Answer& answer, Status status) {
  if (status == Status::out_of_range) return std::string(answer.call) + ": value out of range";
  return describe_failure(answer.call, answer.code);
}

bool ends_pass(Return code) {
  const Reaction reaction = info_of(code).reaction;
  return reaction == Reaction::device_down || reaction == Reaction::restart;
}

// A partitioned device refuses other calls than a whole one: what was learnt about refusals is void when it changes.
void follow_mig_mode(const PassInput& pass, DeviceState& state) {
  if (pass.now < state.mig_due) return;
  std::uint32_t current = 0;
  std::uint32_t pending = 0;
  const Return code = pass.driver.mig_mode(pass.device, &current, &pending);
  const ReturnInfo info = info_of(code);
  state.mig_due = pass.now + mig_mode_interval;
  if (info.reaction == Reaction::permanent) {
    const bool forbidden = info.status == Status::no_permission;
    state.mig_due = forbidden ? pass.now + permission_interval : Instant::max();
    state.mig = forbidden ? MigMode::unknown : MigMode::off;
  } else if (code == Return::success) {
    const MigMode mode = current == mig_disabled ? MigMode::off : MigMode::on;
    if (mode != state.mig) state.refusals = {};
    state.mig = mode;
  }
}

// Rights can be given to a container that runs; what a board lacks it will lack in a minute.
void forget_missing_permissions(const PassInput& pass, DeviceState& state) {
  if (pass.now < state.permission_due) return;
  state.permission_due = Instant::max();
  std::ranges::replace(state.refusals, Return::no_permission, Return::success);
}

void note_fault(Entity& out, const Answer& answer, Status status) {
  if (out.condition != Status::ok) return;  // the first fault is the one that is told
  out.condition = status;
  out.fault = describe(answer, status);
}

}  // namespace

std::span<const MetricReader> metric_readers() {
  return readers;
}

std::string describe_failure(std::string_view call, Return code) {
  if (code == Return::gpu_is_lost) return text_of(code);
  return std::string(call) + ": " + text_of(code);
}

PassEnd read_metrics(const PassInput& input, DeviceState& state, Entity& out) {
  forget_missing_permissions(input, state);
  follow_mig_mode(input, state);
  out.condition = Status::ok;
  out.fault.clear();
  unsigned answered = 0;
  unsigned stale = 0;
  unsigned failed = 0;
  Answer refusal;
  for (std::size_t i = 0; i < group_count; ++i) {
    const Group group{static_cast<unsigned char>(i)};
    Answer answer = ask(input, state, group);
    Status status = fill(answer, group, out);
    if (status != Status::ok && status != Status::lost && !is_permanent_absence(status)) {
      answer = ask(input, state, group);
      status = fill(answer, group, out);
    }
    if (status == Status::ok) {
      ++answered;
    } else if (is_permanent_absence(status)) {
      if (refusal.status == Status::ok) refusal = answer;
    } else {
      note_fault(out, answer, status);
      ++(answer.code == Return::invalid_argument ? stale : failed);
      if (ends_pass(answer.code)) {
        // What was read before is not to be trusted either.
        out.condition = status;
        out.fault = describe(answer, status);
        std::ranges::fill(out.readings, Reading::missing(status));
        return answer.code;
      }
    }
  }
  if (answered == 0 && stale == 0 && failed == 0) note_fault(out, refusal, refusal.status);
  return stale > 0 && answered == 0 && failed == 0 ? Return::invalid_argument : Return::success;
}

}  // namespace gputach::nvml
