#include "sources/nvml/library.h"

#include <dlfcn.h>

#include <array>

namespace gputach::nvml {
namespace {

enum class Need : unsigned char { optional, indispensable };

struct Symbol {
  const char* name;
  Need need;
  void (*assign)(Functions&, void* address);
};

template <auto Member>
void assign(Functions& functions, void* address) {
  using Pointer = std::remove_reference_t<decltype(functions.*Member)>;
  functions.*Member = reinterpret_cast<Pointer>(address);
}

// No row has an older name to fall back on: where a suffixed and a plain name both exist, they differ in meaning.
// nvmlInit starts every GPU and fails with the first bad one; the plain count and index leave out inaccessible GPUs;
// the plain memory call counts reserved memory as used. Every driver since R450 exports all names without a _v2 or V
// sibling here, and the three indispensable ones.
// clang-format off
constexpr auto symbols = std::to_array<Symbol>({
    {"nvmlInit_v2",                         Need::indispensable, assign<&Functions::init>},
    {"nvmlSystemGetDriverVersion",          Need::optional,      assign<&Functions::driver_version>},
    {"nvmlDeviceGetCount_v2",               Need::indispensable, assign<&Functions::device_count>},
    {"nvmlDeviceGetHandleByIndex_v2",       Need::indispensable, assign<&Functions::device_by_index>},
    {"nvmlDeviceGetName",                   Need::optional,      assign<&Functions::name>},
    {"nvmlDeviceGetUUID",                   Need::optional,      assign<&Functions::uuid>},
    {"nvmlDeviceGetUtilizationRates",       Need::optional,      assign<&Functions::utilization_rates>},
    {"nvmlDeviceGetMemoryInfo_v2",          Need::optional,      assign<&Functions::memory_info_v2>},
    {"nvmlDeviceGetMemoryInfo",             Need::optional,      assign<&Functions::memory_info>},
    {"nvmlDeviceGetTemperatureV",           Need::optional,      assign<&Functions::temperature_v>},
    {"nvmlDeviceGetTemperature",            Need::optional,      assign<&Functions::temperature>},
    {"nvmlDeviceGetPowerUsage",             Need::optional,      assign<&Functions::power_usage>},
    {"nvmlDeviceGetPowerManagementLimit",   Need::optional,      assign<&Functions::power_management_limit>},
    {"nvmlDeviceGetEnforcedPowerLimit",     Need::optional,      assign<&Functions::enforced_power_limit>},
    {"nvmlDeviceGetFanSpeed",               Need::optional,      assign<&Functions::fan_speed>},
    {"nvmlDeviceGetEncoderUtilization",     Need::optional,      assign<&Functions::encoder_utilization>},
    {"nvmlDeviceGetDecoderUtilization",     Need::optional,      assign<&Functions::decoder_utilization>},
    {"nvmlDeviceGetMigMode",                Need::optional,      assign<&Functions::mig_mode>},
    {"nvmlDeviceGetMaxMigDeviceCount",      Need::optional,      assign<&Functions::max_mig_device_count>},
    {"nvmlDeviceGetMigDeviceHandleByIndex", Need::optional,      assign<&Functions::mig_device_by_index>},
});
// clang-format on
static_assert(sizeof(Functions) == symbols.size() * sizeof(void*), "a member of Functions has no symbol");

// The driver's installer, then the Windows Subsystem for Linux, which is not on the linker's path.
constexpr auto places = std::to_array<const char*>({"libnvidia-ml.so.1", "/usr/lib/wsl/lib/libnvidia-ml.so.1"});

Result<Library> open_file(const char* path) {
  // RTLD_LOCAL: the driver's other symbols must not shadow ours. RTLD_NOW: a lazily bound symbol that is missing
  // would end the process in the middle of a call.
  void* const handle = ::dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    const char* const reason = ::dlerror();
    return fail(ErrorCode::not_initialized, reason != nullptr ? reason : std::string(path) + ": cannot be loaded");
  }
  const Lookup lookup = [handle](const char* symbol) { return ::dlsym(handle, symbol); };
  const auto functions = resolve_functions(lookup);
  if (!functions) return fail(ErrorCode::not_initialized, std::string(path) + ": " + functions.error().context);
  const Origin origin = lookup(simulated_symbol) != nullptr ? Origin::simulator : Origin::driver;
  return Library(*functions, origin, lookup);
}

}  // namespace

Result<Functions> resolve_functions(const Lookup& lookup) {
  Functions functions;
  for (const Symbol& symbol : symbols) {
    if (void* const address = lookup(symbol.name)) {
      symbol.assign(functions, address);
    } else if (symbol.need == Need::indispensable) {
      return fail(ErrorCode::not_initialized, std::string("no symbol ") + symbol.name);
    }
  }
  return functions;
}

Result<Library> Library::open(const std::string& path) {
  if (!path.empty()) return open_file(path.c_str());
  std::string reasons;
  for (const char* const place : places) {
    auto library = open_file(place);
    if (library) return library;
    reasons += (reasons.empty() ? "" : "; ") + library.error().context;
  }
  return fail(ErrorCode::not_initialized, std::move(reasons));
}

}  // namespace gputach::nvml
