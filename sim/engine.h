// Purpose: the simulated driver without its C interface: who is initialised, which handles are valid, what each call
//          has to wait for and what it answers.
// Units: in the names; time since the library was loaded for faults, CLOCK_MONOTONIC for loads.
// Owns: the scenario in force and the call log.
// Threads: any, at the same time, as NVML promises. A call may block for as long as a fault says.
// Fails: as NVML does, with a return code.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <expected>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "call_log.h"
#include "scenario.h"
#include "scenario_store.h"
#include "sources/nvml/abi.h"
#include "symbols.h"

namespace gputach::sim {

struct EngineSettings {
  std::string scenario = default_scenario;
  std::optional<double> time_s;         // freezes the clock of the loads
  const char* call_log_path = nullptr;  // read by the constructor only
};

// What a call on a device may use; everything in it stays valid while it is held.
struct Access {
  std::shared_ptr<const LoadedScenario> loaded;
  unsigned index = 0;      // of the device, as NVML counts in this session
  unsigned gpu_index = 0;  // of *gpu in `loaded`
  const Gpu* gpu = nullptr;
  const MigInstance* mig = nullptr;  // set when the handle names a MIG device
  double time_s = 0;
  std::optional<std::int64_t> garbage;  // a fault's value, instead of the right one
};

class Engine {
 public:
  explicit Engine(const EngineSettings& settings);

  [[nodiscard]] nvml::Return init(Symbol symbol);
  [[nodiscard]] nvml::Return shutdown(Symbol symbol);

  // A call that names no device. `arguments` is what is wrong with them, if anything.
  [[nodiscard]] std::expected<Access, nvml::Return> enter(Symbol symbol, nvml::Return arguments);

  // A call on a device.
  [[nodiscard]] std::expected<Access, nvml::Return> enter(Symbol symbol, nvml::Device device, nvml::Return arguments);

  // Fetching a handle, which initialises the GPU the first time. `uuid` may name a MIG device.
  [[nodiscard]] std::expected<nvml::Device, nvml::Return> handle_by_index(Symbol symbol, unsigned index,
                                                                          nvml::Return arguments);
  [[nodiscard]] std::expected<nvml::Device, nvml::Return> handle_by_uuid(Symbol symbol, const char* uuid,
                                                                         nvml::Return arguments);
  [[nodiscard]] std::expected<nvml::Device, nvml::Return> mig_handle(Symbol symbol, nvml::Device parent, unsigned slot,
                                                                     nvml::Return arguments);

  [[nodiscard]] CallLog& log() { return log_; }

 private:
  // The GPUs as seen by the init that is in force.
  struct Session {
    std::shared_ptr<const LoadedScenario> inventory;  // null: not initialised
    std::uint16_t generation = 0;                     // handles of an earlier session are not valid
  };
  struct Target {
    unsigned gpu = 0;
    unsigned mig_slot_plus_one = 0;  // 0: the GPU itself
  };
  struct FaultOutcome {
    nvml::Return result = nvml::Return::success;
    std::optional<std::int64_t> garbage;
  };

  [[nodiscard]] Session session() const;
  [[nodiscard]] static std::optional<Target> decode(const Session& session, nvml::Device device);
  [[nodiscard]] std::expected<Session, nvml::Return> begin(Symbol symbol, std::optional<unsigned> gpu,
                                                           nvml::Return arguments);
  [[nodiscard]] std::expected<Access, nvml::Return> access(Symbol symbol, const Session& session, Target target);
  [[nodiscard]] std::expected<nvml::Device, nvml::Return> fetch_handle(Symbol symbol, const Session& session,
                                                                       Target target);
  [[nodiscard]] FaultOutcome suffer_faults(Symbol symbol, std::optional<unsigned> gpu);
  void wait_out(const Fault& fault, Symbol symbol, std::optional<unsigned> gpu);
  [[nodiscard]] bool still_in_force(const Fault& fault, Symbol symbol, std::optional<unsigned> gpu);
  void wait_at_gate();
  [[nodiscard]] double since_load_s() const;
  [[nodiscard]] double load_time_s() const;

  const std::chrono::steady_clock::time_point loaded_at_ = std::chrono::steady_clock::now();
  const std::optional<double> frozen_time_s_;
  ScenarioStore store_;
  CallLog log_;
  std::atomic<int> gate_holders_ = 0;  // calls that hang with the driver's global lock
  std::array<std::atomic<bool>, gpus_max> gpu_initialised_{};

  mutable std::mutex mutex_;  // guards what follows
  Session session_;
  unsigned references_ = 0;
};

}  // namespace gputach::sim
