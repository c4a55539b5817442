#include "sources/nvml/nvml_source.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <utility>

#include "base/limits.h"

namespace gputach {
namespace {

using namespace std::chrono_literals;

// How long a GPU that is down is left alone before its handle is fetched again; doubled up to the maximum, and from
// the beginning once it has been read in full.
constexpr Duration pause_first = 1s;
constexpr Duration pause_max = 4s;

constexpr std::string_view simulated_suffix = " (simulated)";

// "Driver Not Loaded (9)"
std::string with_number(nvml::Return code) {
  return nvml::text_of(code) + " (" + std::to_string(static_cast<int>(code)) + ")";
}

// "driver 580.105.08"; empty when the library does not tell.
std::string describe_driver(const nvml::Functions& driver) {
  std::array<char, nvml::driver_version_bytes + 1> text{};
  if (driver.driver_version(text.data(), nvml::driver_version_bytes) != nvml::Return::success) return {};
  text.back() = '\0';
  return std::string("driver ") + text.data();
}

std::uint64_t hash_of(std::string_view uuid) {
  if (uuid.empty()) return 0;
  const std::uint64_t hash = std::hash<std::string_view>{}(uuid);
  return hash == 0 ? 1 : hash;
}

void fill_missing(Entity& out, Status condition) {
  out.readings.assign(metric_count(Scope::gpu), Reading::missing(condition));
}

}  // namespace

NvmlReader::NvmlReader(NvmlOptions options, const Clock& clock) : options_(std::move(options)), clock_(clock) {}

NvmlReader::NvmlReader(nvml::Library library, NvmlOptions options, const Clock& clock)
    : options_(std::move(options)), clock_(clock), library_(library) {}

Result<unsigned> NvmlReader::fail_open(ErrorCode code, std::string why) {
  why_ = std::move(why);
  return fail(code, code == ErrorCode::no_gpus ? "no GPUs found" : "NVML not initialized");
}

Result<unsigned> NvmlReader::open() {
  if (!library_) {
    auto library = nvml::Library::open(options_.library_path);
    if (!library) return fail_open(ErrorCode::not_initialized, std::move(library.error().context));
    library_ = *library;
  }
  const nvml::Functions& driver = library_->functions();
  const nvml::Return started = driver.init();
  if (started == nvml::Return::gpu_not_found) {
    return fail_open(ErrorCode::no_gpus, "nvmlInit_v2: " + with_number(started));
  }
  if (started != nvml::Return::success && started != nvml::Return::already_initialized) {
    return fail_open(ErrorCode::not_initialized, "nvmlInit_v2: " + with_number(started));
  }
  std::uint32_t found = 0;
  if (const nvml::Return counted = driver.device_count(&found); counted != nvml::Return::success) {
    const bool none = counted == nvml::Return::gpu_not_found;
    return fail_open(none ? ErrorCode::no_gpus : ErrorCode::not_initialized,
                     "nvmlDeviceGetCount_v2: " + with_number(counted));
  }
  if (found == 0) return fail_open(ErrorCode::no_gpus, "nvmlDeviceGetCount_v2: 0 GPUs");
  const unsigned kept = std::min(found, limits::gpus_max);
  why_ = describe_driver(driver);
  if (kept < found) {
    why_ += (why_.empty() ? "" : ", ") + std::to_string(found) + " GPUs found, the first " + std::to_string(kept) +
            " are served";
  }
  slots_ = std::vector<Slot>(kept);
  return kept;
}

bool NvmlReader::selected(unsigned index, std::string_view uuid) const {
  const DeviceSelection& wanted = options_.devices;
  return wanted.all() || std::ranges::find(wanted.indices, index) != wanted.indices.end() ||
         std::ranges::find(wanted.uuids, uuid) != wanted.uuids.end();
}

bool NvmlReader::prepare_device(unsigned index, Entity& out) {
  assert(index < slots_.size());
  Slot& slot = slots_[index];
  // By index alone it is decided without touching the GPU, which would initialise it.
  if (options_.devices.uuids.empty() && !selected(index, {})) return false;
  fetch(index);
  // A GPU that cannot say its UUID is shown as the fault it is, until it can.
  const bool identified = slot.handle != nullptr || !slot.uuid.empty();
  if (identified && !selected(index, slot.uuid)) return false;
  slot.shown = true;
  out.scope = Scope::gpu;
  out.index = index;
  out.name = slot.name;
  out.uuid = slot.uuid;
  out.condition = slot.condition;
  out.fault = slot.fault;
  fill_missing(out, slot.condition);
  return true;
}

void NvmlReader::read_device(unsigned index, Entity& out) {
  assert(index < slots_.size());
  Slot& slot = slots_[index];
  const Instant now = clock_.now();
  if (slot.handle == nullptr && now >= slot.retry_at) fetch(index);
  out.scope = Scope::gpu;
  out.index = index;
  out.name = slot.name;
  out.uuid = slot.uuid;
  if (slot.handle == nullptr) {
    out.condition = slot.condition;
    out.fault = slot.fault;
    fill_missing(out, slot.condition);
    return;
  }
  fill_missing(out, Status::not_read);
  const nvml::PassInput input{library_->functions(), slot.handle, now, options_.meminfo_path.c_str()};
  const nvml::PassEnd end = nvml::read_metrics(input, slot.calls, out);
  if (end == nvml::Return::success) {
    slot.pause = {};
    slot.gone = false;
  } else {
    take_down(slot, end, out.condition, out.fault);
  }
}

bool NvmlReader::needs_restart() const {
  if (restart_) return true;
  bool any = false;
  for (const Slot& slot : slots_) {
    if (!slot.shown) continue;
    if (!slot.gone) return false;
    any = true;
  }
  return any;
}

bool NvmlReader::simulated() const {
  return library_ && library_->simulated();
}

// Leaves the slot with a handle and an identity, or down.
void NvmlReader::fetch(unsigned index) {
  Slot& slot = slots_[index];
  const nvml::Functions& driver = library_->functions();
  const auto down = [&](nvml::Return code, std::string_view call) {
    take_down(slot, code, nvml::info_of(code).status, nvml::describe_failure(call, code));
  };
  nvml::Device device = nullptr;
  if (const auto code = driver.device_by_index(index, &device); code != nvml::Return::success) {
    return down(code, "GetHandleByIndex");
  }
  std::string uuid;
  if (const auto code = fetch_text(driver.uuid, device, uuid); code != nvml::Return::success) {
    return down(code, "GetUUID");
  }
  const std::uint64_t hash = hash_of(uuid);
  const bool other_gpu = !slot.uuid.empty() && slot.uuid != uuid;
  // A lost GPU can leave the enumeration, and those behind it move up: what stands at this index now has its own slot.
  if (const Slot* const owner = other_gpu ? shown_elsewhere(index, hash) : nullptr) {
    // That slot has no GPU either: they came back in another order, and only a new enumeration can follow.
    if (owner->down) restart_ = true;
    return down(nvml::Return::gpu_is_lost, "GetUUID");
  }
  // Only a new enumeration can drop a slot that turns out not to be selected.
  if (slot.shown && !selected(index, uuid)) restart_ = true;
  slot.uuid = std::move(uuid);
  slot.uuid_hash = hash;
  std::string name;
  if (const auto code = fetch_text(driver.name, device, name); code != nvml::Return::success) {
    return down(code, "GetName");
  }
  if (library_->simulated()) name += simulated_suffix;
  slot.name = std::move(name);
  slot.calls = {};
  slot.condition = Status::not_read;
  slot.fault.clear();
  slot.handle = device;
  slot.down = false;
}

// An identity that this library cannot tell is empty; one that fails is asked for once more.
nvml::Return NvmlReader::fetch_text(nvml::DeviceGetTextFn* get, nvml::Device device, std::string& out) const {
  std::array<char, std::max(nvml::name_bytes, nvml::uuid_bytes) + 1> text{};
  const auto bytes = static_cast<std::uint32_t>(text.size() - 1);
  nvml::Return code = get(device, text.data(), bytes);
  const nvml::ReturnInfo info = nvml::info_of(code);
  if (info.reaction == nvml::Reaction::permanent) return nvml::Return::success;
  if (info.status != Status::ok && info.status != Status::lost) code = get(device, text.data(), bytes);
  text.back() = '\0';
  if (code == nvml::Return::success) out = text.data();
  return code;
}

void NvmlReader::take_down(Slot& slot, nvml::Return code, Status condition, std::string fault) {
  slot.handle = nullptr;
  slot.down = true;
  slot.condition = condition;
  slot.fault = std::move(fault);
  slot.pause = std::clamp(slot.pause * 2, pause_first, pause_max);
  slot.retry_at = clock_.now() + slot.pause;
  // A device that was never there is not one that went away.
  const bool refused = code == nvml::Return::invalid_argument || code == nvml::Return::gpu_not_found;
  slot.gone = refused && slot.shown;
  if (nvml::info_of(code).reaction == nvml::Reaction::restart) restart_ = true;
}

const NvmlReader::Slot* NvmlReader::shown_elsewhere(unsigned index, std::uint64_t uuid_hash) const {
  for (unsigned other = 0; other < slots_.size(); ++other) {
    if (other != index && slots_[other].shown && slots_[other].uuid_hash == uuid_hash) return &slots_[other];
  }
  return nullptr;
}

}  // namespace gputach
