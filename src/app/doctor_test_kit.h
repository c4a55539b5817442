// Purpose: machines as they are found, healthy and not, each with what the doctor has to say about it.
// Owns: values only.
// Threads: any.
// Fails: never.
#pragma once

#include <chrono>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "app/doctor_judge.h"

namespace gputach {

using namespace std::chrono_literals;
using nvml::Return;

inline constexpr WallTime some_day{std::chrono::sys_days{std::chrono::year{2026} / 3 / 1}};

inline Entity gpu(unsigned index) {
  Entity entity(Scope::gpu, index);
  entity.name = "NVIDIA H100 80GB HBM3";
  entity.uuid = "GPU-0000000" + std::to_string(index);
  entity.condition = Status::ok;
  for (Reading& reading : entity.readings) reading = Reading::of(1);
  return entity;
}

inline DeviceNode node(std::string name, int refusal = 0) {
  DeviceNode made;
  made.name = std::move(name);
  made.mode = 0666;
  made.refusal = refusal;
  return made;
}

inline Findings healthy() {
  Findings f;
  f.here.pci_gpus = {{"0000:17:00.0", "nvidia"}, {"0000:3d:00.0", "nvidia"}};
  f.here.module_loaded = true;
  f.here.module_version = "580.105.08";
  f.here.nodes = {node("nvidiactl"), node("nvidia0"), node("nvidia1")};
  f.probe.end = ProbeReport::End::finished;
  f.probe.phase = ProbeReport::Phase::reading;
  f.probe.loaded = true;
  f.probe.library_file = "/usr/lib64/libnvidia-ml.so.580.105.08";
  f.probe.init = Return::success;
  f.probe.init_took = 15ms;
  f.probe.opened = true;
  f.probe.gpus = 2;
  f.probe.calls = {{"nvmlInit_v2", ProbeReport::Phase::starting, {15ms}},
                   {"nvmlDeviceGetPowerUsage", ProbeReport::Phase::reading, {90us, 30us, 40us}}};
  f.passes.emplace();
  f.passes->took = {9ms, 3ms, 3ms, 3ms, 3ms};
  f.passes->gpus = {gpu(0), gpu(1)};
  f.passes->cache = CacheReport{.passes_for_two_asks = 1, .third_is_hit = true, .answer_took = 2us};
  f.clock = {some_day, ClockReport::Sync::synchronised};
  f.nvml_timeout = 2s;
  f.cache_ttl = 1s;
  return f;
}

inline Findings without_library() {
  Findings f = healthy();
  f.probe = {};
  f.probe.end = ProbeReport::End::finished;
  f.probe.complaint = "libnvidia-ml.so.1: cannot open shared object file: No such file or directory";
  f.passes.reset();
  return f;
}

inline Findings init_answers(Return code) {
  Findings f = healthy();
  f.probe.init = code;
  f.probe.opened = false;
  f.probe.gpus = 0;
  f.probe.complaint = "nvmlInit_v2: something";
  f.passes.reset();
  return f;
}

inline Findings hangs(const char* call, int on_gpu, Duration waited) {
  Findings f = healthy();
  f.probe.end = ProbeReport::End::hung;
  f.probe.pending = ProbeReport::Pending{call, on_gpu, waited};
  return f;
}

inline Findings no_gpus() {
  Findings f = init_answers(Return::success);
  f.probe.no_gpus = true;
  f.probe.complaint = "nvmlDeviceGetCount_v2: 0 GPUs";
  return f;
}

inline Findings in_container(Findings f, std::map<std::string, std::string, std::less<>> environment = {}) {
  f.here.container_signs = {"/.dockerenv"};
  f.here.environment = std::move(environment);
  return f;
}

inline Findings in_pod(Findings f) {
  return in_container(std::move(f), {{"KUBERNETES_SERVICE_HOST", "10.0.0.1"}});
}

template <class Change>
inline Findings changed(Findings f, Change change) {
  change(f);
  return f;
}

// What is to be said, beside checks that are ok or skipped: the id, and words of what was found and of the remedy.
struct Said {
  std::string id;
  CheckState state;
  std::string found;
  std::string remedy;
};

struct Situation {
  std::string name;
  Findings findings;
  std::vector<Said> said;
};

inline constexpr CheckState bad = CheckState::failed;
inline constexpr CheckState doubtful = CheckState::warning;

// In doctor_machine_test.cc and doctor_driver_test.cc.
std::vector<Situation> machine_situations();
std::vector<Situation> container_situations();
std::vector<Situation> driver_situations();
std::vector<Situation> answer_situations();

}  // namespace gputach
