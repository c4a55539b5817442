#include "engine.h"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <thread>

namespace gputach::sim {
namespace {

using nvml::Return;
using std::chrono::steady_clock;

constexpr auto poll_period = std::chrono::milliseconds(10);  // how soon the end of a hang is seen

std::chrono::duration<double, std::milli> milliseconds(double count) {
  return std::chrono::duration<double, std::milli>(count);
}

template <class T>
bool contains(const std::vector<T>& list, const T& value) {
  return std::ranges::find(list, value) != list.end();
}

bool concerns(const Fault& fault, Symbol symbol, std::optional<unsigned> gpu, double since_load_s) {
  if (since_load_s < fault.after_s || since_load_s >= fault.after_s + fault.for_s) return false;
  if (fault.calls.empty() ? !gpu : !contains(fault.calls, symbol)) return false;
  if (contains(fault.except, symbol)) return false;
  return fault.gpus.empty() || (gpu && contains(fault.gpus, *gpu));
}

// Handles are numbers that are never followed as pointers: mark, session, GPU, MIG slot.
constexpr std::uintptr_t handle_mark = 0x47505500;

nvml::Device encode_handle(std::uint16_t generation, unsigned gpu, unsigned mig_slot_plus_one) {
  const std::uintptr_t bits =
      handle_mark << 32U | std::uintptr_t{generation} << 16U | std::uintptr_t{gpu} << 8U | mig_slot_plus_one;
  return std::bit_cast<nvml::Device>(bits);
}

const MigInstance* find_mig(const Gpu& gpu, unsigned slot) {
  const auto found = std::ranges::find(gpu.mig_instances, slot, &MigInstance::slot);
  return found == gpu.mig_instances.end() ? nullptr : &*found;
}

// While one is alive, other calls stay at the gate.
class GateHolder {
 public:
  GateHolder(std::atomic<int>& holders, bool hold) : holders_(hold ? &holders : nullptr) {
    if (holders_ != nullptr) ++*holders_;
  }
  ~GateHolder() {
    if (holders_ != nullptr) --*holders_;
  }
  GateHolder(const GateHolder&) = delete;
  GateHolder& operator=(const GateHolder&) = delete;

 private:
  std::atomic<int>* holders_;
};

}  // namespace

Engine::Engine(const EngineSettings& settings)
    : frozen_time_s_(settings.time_s), store_(settings.scenario), log_(settings.call_log_path) {}

Return Engine::init(Symbol symbol) {
  log_.record(symbol, std::nullopt);
  wait_at_gate();
  if (const FaultOutcome outcome = suffer_faults(symbol, std::nullopt); outcome.result != Return::success) {
    return outcome.result;
  }
  {
    const std::scoped_lock lock(mutex_);
    if (references_ > 0) {
      ++references_;
      return Return::success;
    }
  }
  auto loaded = store_.current_if_valid();
  if (loaded == nullptr) return Return::unknown;
  if (contains(loaded->scenario.driver.absent, symbol)) return Return::function_not_found;
  std::this_thread::sleep_for(milliseconds(loaded->scenario.driver.init_delay_ms));
  if (loaded->scenario.driver.init != Return::success) return loaded->scenario.driver.init;
  const std::scoped_lock lock(mutex_);
  if (references_++ == 0) {
    session_.inventory = std::move(loaded);
    ++session_.generation;
  }
  return Return::success;
}

Return Engine::shutdown(Symbol symbol) {
  log_.record(symbol, std::nullopt);
  wait_at_gate();
  if (const FaultOutcome outcome = suffer_faults(symbol, std::nullopt); outcome.result != Return::success) {
    return outcome.result;
  }
  const std::scoped_lock lock(mutex_);
  if (references_ == 0) return Return::uninitialized;
  if (--references_ == 0) session_.inventory = nullptr;
  return Return::success;
}

std::expected<Access, Return> Engine::enter(Symbol symbol, Return arguments) {
  const auto session = begin(symbol, std::nullopt, arguments);
  if (!session) return std::unexpected(session.error());
  const FaultOutcome outcome = suffer_faults(symbol, std::nullopt);
  if (outcome.result != Return::success) return std::unexpected(outcome.result);
  return Access{.loaded = session->inventory, .time_s = load_time_s(), .garbage = outcome.garbage};
}

std::expected<Access, Return> Engine::enter(Symbol symbol, nvml::Device device, Return arguments) {
  const auto target = decode(session(), device);
  const auto session = begin(symbol, target ? std::optional(target->gpu) : std::nullopt, arguments);
  if (!session) return std::unexpected(session.error());
  if (!target) return std::unexpected(Return::invalid_argument);
  return access(symbol, *session, *target);
}

std::expected<nvml::Device, Return> Engine::handle_by_index(Symbol symbol, unsigned index, Return arguments) {
  const auto session = begin(symbol, index < gpus_max ? std::optional(index) : std::nullopt, arguments);
  if (!session) return std::unexpected(session.error());
  if (index >= session->inventory->scenario.gpus.size()) return std::unexpected(Return::invalid_argument);
  return fetch_handle(symbol, *session, {.gpu = index});
}

std::expected<nvml::Device, Return> Engine::handle_by_uuid(Symbol symbol, const char* uuid, Return arguments) {
  std::optional<Target> target;
  const Session known = session();
  if (known.inventory != nullptr && uuid != nullptr) {
    const std::vector<Gpu>& gpus = known.inventory->scenario.gpus;
    for (unsigned index = 0; index < gpus.size(); ++index) {
      if (gpus[index].uuid == uuid) target = Target{.gpu = index};
      for (const MigInstance& mig : gpus[index].mig_instances) {
        if (mig.uuid == uuid) target = Target{.gpu = index, .mig_slot_plus_one = mig.slot + 1};
      }
    }
  }
  const auto session = begin(symbol, target ? std::optional(target->gpu) : std::nullopt, arguments);
  if (!session) return std::unexpected(session.error());
  if (!target) return std::unexpected(Return::not_found);
  return fetch_handle(symbol, *session, *target);
}

std::expected<nvml::Device, Return> Engine::mig_handle(Symbol symbol, nvml::Device parent, unsigned slot,
                                                       Return arguments) {
  const auto access = enter(symbol, parent, arguments);
  if (!access) return std::unexpected(access.error());
  if (access->gpu->feature(Feature::mig) == Mode::not_supported) return std::unexpected(Return::not_supported);
  if (access->mig != nullptr || slot >= mig_devices_max) return std::unexpected(Return::invalid_argument);
  if (find_mig(*access->gpu, slot) == nullptr) return std::unexpected(Return::not_found);
  const auto target = decode(session(), parent);
  if (!target) return std::unexpected(Return::invalid_argument);
  return encode_handle(session().generation, target->gpu, slot + 1);
}

Engine::Session Engine::session() const {
  const std::scoped_lock lock(mutex_);
  return session_;
}

std::optional<Engine::Target> Engine::decode(const Session& session, nvml::Device device) {
  if (session.inventory == nullptr) return std::nullopt;
  const auto bits = std::bit_cast<std::uintptr_t>(device);
  const Target target{.gpu = static_cast<unsigned>(bits >> 8U & 0xFFU),
                      .mig_slot_plus_one = static_cast<unsigned>(bits & 0xFFU)};
  if (encode_handle(session.generation, target.gpu, target.mig_slot_plus_one) != device) return std::nullopt;
  if (target.gpu >= session.inventory->scenario.gpus.size()) return std::nullopt;
  return target;
}

// What every call does first, in NVML's order of complaints.
std::expected<Engine::Session, Return> Engine::begin(Symbol symbol, std::optional<unsigned> gpu, Return arguments) {
  log_.record(symbol, gpu);
  wait_at_gate();
  Session now = session();
  const auto loaded = store_.current();
  if (loaded != nullptr && contains(loaded->scenario.driver.absent, symbol)) {
    return std::unexpected(Return::function_not_found);
  }
  if (now.inventory == nullptr) return std::unexpected(Return::uninitialized);
  if (arguments != Return::success) return std::unexpected(arguments);
  return now;
}

std::expected<Access, Return> Engine::access(Symbol symbol, const Session& session, Target target) {
  const FaultOutcome outcome = suffer_faults(symbol, target.gpu);
  if (outcome.result != Return::success) return std::unexpected(outcome.result);

  // Figures come from the scenario in force, as long as it still knows this board.
  const std::string& uuid = session.inventory->scenario.gpus[target.gpu].uuid;
  Access access{.loaded = store_.current(), .index = target.gpu, .time_s = load_time_s(), .garbage = outcome.garbage};
  auto found = std::ranges::find(access.loaded->scenario.gpus, uuid, &Gpu::uuid);
  if (found == access.loaded->scenario.gpus.end()) {
    access.loaded = session.inventory;
    found = access.loaded->scenario.gpus.begin() + target.gpu;
  }
  access.gpu = &*found;
  access.gpu_index = static_cast<unsigned>(found - access.loaded->scenario.gpus.begin());

  if (target.mig_slot_plus_one != 0) {
    access.mig = find_mig(*access.gpu, target.mig_slot_plus_one - 1);
    if (access.mig == nullptr) return std::unexpected(Return::invalid_argument);
    return access;
  }
  for (const auto& [refused, code] : access.gpu->returns) {
    if (refused == symbol && code != Return::success) return std::unexpected(code);
  }
  return access;
}

std::expected<nvml::Device, Return> Engine::fetch_handle(Symbol symbol, const Session& session, Target target) {
  const auto access = this->access(symbol, session, target);
  if (!access) return std::unexpected(access.error());
  if (!gpu_initialised_[target.gpu]) {
    std::this_thread::sleep_for(milliseconds(access->loaded->scenario.driver.first_handle_delay_ms));
    gpu_initialised_[target.gpu] = true;
  }
  return encode_handle(session.generation, target.gpu, target.mig_slot_plus_one);
}

Engine::FaultOutcome Engine::suffer_faults(Symbol symbol, std::optional<unsigned> gpu) {
  FaultOutcome outcome;
  const auto loaded = store_.current();
  if (loaded == nullptr) return outcome;
  const std::vector<Fault>& faults = loaded->scenario.faults;
  for (std::size_t i = 0; i < faults.size(); ++i) {
    const Fault& fault = faults[i];
    if (!concerns(fault, symbol, gpu, since_load_s())) continue;
    if ((loaded->fault_hits[i].fetch_add(1, std::memory_order_relaxed) + 1) % fault.every != 0) continue;
    if (fault.crash) std::abort();
    wait_out(fault, symbol, gpu);
    if (fault.value) outcome.garbage = fault.value;
    if (fault.result != Return::success && outcome.result == Return::success) outcome.result = fault.result;
  }
  return outcome;
}

void Engine::wait_out(const Fault& fault, Symbol symbol, std::optional<unsigned> gpu) {
  if (!fault.hang && fault.delay_ms <= 0) return;
  const GateHolder holder(gate_holders_, fault.hold_lock);
  const auto deadline =
      steady_clock::now() + std::chrono::duration_cast<steady_clock::duration>(milliseconds(fault.delay_ms));
  while (fault.hang || steady_clock::now() < deadline) {
    if (!still_in_force(fault, symbol, gpu)) return;
    const auto rest = deadline - steady_clock::now();
    std::this_thread::sleep_for(fault.hang ? poll_period : std::min<steady_clock::duration>(rest, poll_period));
  }
}

// The file may have changed meanwhile: a fault is the same one when it blocks the same call in the same way. A delay
// that has begun outlives the end of its time window.
bool Engine::still_in_force(const Fault& fault, Symbol symbol, std::optional<unsigned> gpu) {
  const auto loaded = store_.current();
  const double time_s = fault.hang ? since_load_s() : fault.after_s;
  return std::ranges::any_of(loaded->scenario.faults, [&](const Fault& other) {
    return other.hang == fault.hang && (other.delay_ms > 0) == (fault.delay_ms > 0) &&
           concerns(other, symbol, gpu, time_s);
  });
}

void Engine::wait_at_gate() {
  while (gate_holders_ > 0) std::this_thread::sleep_for(poll_period);
}

double Engine::since_load_s() const {
  return std::chrono::duration<double>(steady_clock::now() - loaded_at_).count();
}

double Engine::load_time_s() const {
  return frozen_time_s_.value_or(std::chrono::duration<double>(steady_clock::now().time_since_epoch()).count());
}

}  // namespace gputach::sim
