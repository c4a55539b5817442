#include <csignal>

#include "app/doctor_test_kit.h"

namespace gputach {

std::vector<Situation> driver_situations() {
  std::vector<Situation> all;
  all.push_back({"no GPUs", no_gpus(), {{"gpus", bad, "has no GPU", "dmesg"}}});
  all.push_back({"one GPU lost",
                 changed(healthy(),
                         [](Findings& f) {
                           f.passes->gpus[1].condition = Status::lost;
                           f.passes->gpus[1].fault = "GPU is lost";
                         }),
                 {{"gpu_1", bad, "GPU is lost (NVIDIA H100", "Xid 79"}}});
  all.push_back({"init hangs",
                 changed(hangs("nvmlInit_v2", -1, 20s),
                         [](Findings& f) {
                           f.probe.init.reset();
                           f.probe.opened = false;
                           f.passes.reset();
                         }),
                 {{"driver_start", bad, "nvmlInit_v2 did not return within 20.0 s", "reboot"},
                  {"driver_calls", bad, "nvmlInit_v2", "reboot"}}});
  all.push_back({"one GPU's call hangs",
                 changed(hangs("nvmlDeviceGetPowerUsage", 1, 2s),
                         [](Findings& f) {
                           f.passes->gpus[1].condition = Status::timed_out;
                           f.passes->gpus[1].fault = "GPU timed out";
                         }),
                 {{"gpu_1", bad, "timed out", "reset"},
                  {"driver_calls", bad, "nvmlDeviceGetPowerUsage of GPU 1 did not return within 2.0 s", "reset"},
                  {"pass_latency", doubtful, "one GPU was not waited for", "driver_calls"}}});
  all.push_back(
      {"a call that is stuck in the kernel",
       changed(hangs("nvmlDeviceGetPowerUsage", 1, 2s), [](Findings& f) { f.probe.pending->unkillable = true; }),
       {{"driver_calls", bad, "not even SIGKILL ends it", "reboot"}}});
  all.push_back({"the driver kills the process",
                 changed(init_answers(Return::success),
                         [](Findings& f) {
                           f.probe.end = ProbeReport::End::died;
                           f.probe.wait_status = SIGSEGV;
                           f.probe.pending = ProbeReport::Pending{"nvmlInit_v2", -1, {}};
                           f.probe.init.reset();
                         }),
                 {{"driver_start", bad, "in nvmlInit_v2 with signal 11", "Install the driver again"},
                  {"driver_calls", bad, "signal 11", "Install the driver again"}}});
  return all;
}

std::vector<Situation> answer_situations() {
  std::vector<Situation> all;
  all.push_back({"a slow call",
                 changed(healthy(),
                         [](Findings& f) {
                           f.probe.calls[1].took = {30ms, 31ms, 29ms};
                           f.passes->took = {62ms, 61ms, 64ms};
                         }),
                 {{"driver_calls", doubtful, "nvmlDeviceGetPowerUsage takes 30.0 ms", "nvidia-persistenced"},
                  {"pass_latency", doubtful, "62.0 ms", "poll less"}}});
  all.push_back({"no pass ends in time",
                 changed(healthy(),
                         [](Findings& f) {
                           f.passes->failure = Error{ErrorCode::timed_out, "NVML timed out"};
                           f.passes->gpus.clear();
                           f.passes->cache.reset();
                         }),
                 {{"gpus", bad, "no pass brought figures", "pass_latency"},
                  {"pass_latency", bad, "NVML timed out, limit 2.0 s", "driver_calls"}}});
  all.push_back({"--devices names no GPU of this machine",
                 changed(healthy(),
                         [](Findings& f) {
                           f.passes = PassReport{};
                           f.passes->not_ready = Error{ErrorCode::no_gpus, "no GPUs found"};
                         }),
                 {{"gpus", bad, "names none of them", "Correct --devices"}}});
  all.push_back({"no caching",
                 changed(healthy(),
                         [](Findings& f) {
                           f.cache_ttl = 0ms;
                           f.passes->cache->third_is_hit = false;
                         }),
                 {{"cache", doubtful, "causes its own", "--cache-ttl 1s"}}});
  all.push_back({"passes longer than the cache",
                 changed(healthy(),
                         [](Findings& f) {
                           f.cache_ttl = 1ms;
                           f.passes->cache->third_is_hit = false;
                         }),
                 {{"cache", doubtful, "longer than a reading is kept", "Raise --cache-ttl"}}});
  all.push_back({"a broken single flight",
                 changed(healthy(), [](Findings& f) { f.passes->cache->passes_for_two_asks = 2; }),
                 {{"cache", bad, "2 passes", "fault of gputach"}}});
  all.push_back({"a clock that nobody sets",
                 changed(healthy(), [](Findings& f) { f.clock.wall = WallTime{}; }),
                 {{"clock", bad, "1970-01-01", "Set the machine's clock"}}});
  all.push_back({"a clock on its own",
                 changed(healthy(), [](Findings& f) { f.clock.sync = ClockReport::Sync::not_synchronised; }),
                 {{"clock", doubtful, "not synchronised", "chrony"}}});
  all.push_back({"the simulated driver",
                 changed(without_library(),
                         [](Findings& f) {
                           f = healthy();
                           f.here = {};
                           f.here.pci_gpus.emplace();
                           f.probe.simulated = true;
                         }),
                 {{"library", doubtful, "simulated", "Leave out --nvml-library"}}});
  return all;
}

}  // namespace gputach
