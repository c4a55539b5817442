#include <sys/wait.h>

#include <algorithm>

#include "app/doctor_judge.h"
#include "base/text_buffer.h"
#include "sources/nvml/returns.h"

// The checks of what the driver does once it is there, and of what is made of it.
namespace gputach::checks {
namespace {

using namespace std::chrono_literals;

constexpr Duration fresh_answer_max = 10ms;  // what the contract promises for a fresh reading
constexpr const char* ask_the_kernel = "Look for Xid and NVRM lines in dmesg on the node; ";

// "nvmlDeviceGetPowerUsage of GPU 3"
std::string name_of(const ProbeReport::Pending& call) {
  return call.name + (call.gpu >= 0 ? " of GPU " + std::to_string(call.gpu) : "");
}

std::string describe_hang(const ProbeReport::Pending& call) {
  return name_of(call) + " did not return within " + readable(call.waited) +
         (call.unkillable ? "; it is stuck in the kernel, where not even SIGKILL ends it" : "");
}

std::string describe_death(const ProbeReport& probe) {
  const int status = probe.wait_status;
  const std::string how = WIFSIGNALED(status) ? "signal " + std::to_string(WTERMSIG(status))
                                              : "status " + std::to_string(WEXITSTATUS(status));
  const std::string where = probe.pending ? "in " + name_of(*probe.pending) : "between two calls";
  return "the driver ended the process " + where + " with " + how;
}

const std::string hang_remedy =
    std::string(ask_the_kernel) + "a driver that hangs needs a reset of the GPU (nvidia-smi -r) or a reboot.";

std::string start_remedy(const Findings& f) {
  switch (f.probe.init.value_or(nvml::Return::unknown)) {
    case nvml::Return::driver_not_loaded:
      return "Load the kernel module: modprobe nvidia; dmesg says why if that is refused.";
    case nvml::Return::lib_rm_version_mismatch:
      return "See version_match: library and kernel module must be of one release.";
    case nvml::Return::no_permission: return "See device_nodes: this user may not use them.";
    case nvml::Return::operating_system:
    case nvml::Return::unknown:
      if (f.here.in_container())
        return "Restart the container: it has lost access to the devices, as happens after systemctl daemon-reload.";
      break;
    default: break;
  }
  return std::string(ask_the_kernel) + "then load the kernel module again or reboot.";
}

std::string no_gpus_remedy(const Findings& f) {
  if (f.here.in_pod())
    return "Check that the engine's container requests nvidia.com/gpu, that the device plugin runs on the node, and "
           "that "
           "this container shares the devices (see pod_resources).";
  if (f.here.in_container()) return "Start the container with GPUs, for example docker run --gpus all.";
  return std::string(ask_the_kernel) + "they say why a GPU on the bus (see hardware) was not taken.";
}

std::string gpu_remedy(Status condition) {
  switch (condition) {
    case Status::lost:
      return std::string(ask_the_kernel) + "a GPU that fell off the bus (Xid 79) needs a reset or a reboot.";
    case Status::timed_out: return hang_remedy;
    case Status::no_permission: return "See device_nodes: this user may not use the GPU's node.";
    default: return std::string(ask_the_kernel) + "reset the GPU (nvidia-smi -r) if it stays like this.";
  }
}

std::string count_of_gpus(std::size_t count) {
  return std::to_string(count) + (count == 1 ? " GPU" : " GPUs");
}

CallTimes times_of(const ProbeReport::Call& call) {
  std::vector<Duration> sorted = call.took;
  std::ranges::sort(sorted);
  return {call.name, sorted.size(), sorted[sorted.size() / 2], sorted.back()};
}

bool still_running(const ProbeReport& probe) {
  return probe.end == ProbeReport::End::hung && probe.pending;
}

}  // namespace

Check driver_start(const Findings& f) {
  const ProbeReport& probe = f.probe;
  if (!probe.loaded) return skipped("there is no library to start (see library)");
  if (probe.started())
    return ok((probe.description.empty() ? "" : probe.description + ", ") + "nvmlInit_v2 took " +
              readable(probe.init_took));
  if (probe.init)
    return failed(
        "nvmlInit_v2: " + nvml::text_of(*probe.init) + " (" + std::to_string(static_cast<int>(*probe.init)) + ")",
        start_remedy(f));
  if (still_running(probe)) return failed(describe_hang(*probe.pending), hang_remedy);
  if (probe.end == ProbeReport::End::died)
    return failed(describe_death(probe), "Install the driver again, library and kernel module of one release.");
  return failed(probe.complaint, start_remedy(f));
}

Check gpus(const Findings& f) {
  const ProbeReport& probe = f.probe;
  if (probe.no_gpus) return failed("the driver works and has no GPU (" + probe.complaint + ")", no_gpus_remedy(f));
  if (!probe.started()) return skipped("the driver has not started (see driver_start)");
  if (!f.passes) return skipped("the driver did not get as far as its GPUs (see driver_calls)");
  const std::size_t shown = f.passes->gpus.size();
  if (!probe.opened && shown == 0) return skipped("not all GPUs could be opened (see driver_calls)");
  const std::size_t found = std::max<std::size_t>(probe.gpus, shown);
  const std::string count = count_of_gpus(found);
  if (f.passes->not_ready && f.passes->not_ready->code == ErrorCode::no_gpus)
    return failed(count + ", and --devices names none of them", "Correct --devices; without it all GPUs are shown.");
  if (shown == 0) return failed(count + ", and no pass brought figures", "See driver_calls and pass_latency.");
  if (shown < probe.gpus) return ok(count + ", of which --devices shows " + std::to_string(shown));
  return ok(count);
}

Check gpu(const Entity& entity) {
  const std::string who = entity.name + (entity.name.empty() || entity.uuid.empty() ? "" : ", ") + entity.uuid;
  if (entity.condition != Status::ok) {
    const std::string what = entity.fault.empty() ? std::string(to_string(entity.condition)) : entity.fault;
    return failed(what + (who.empty() ? "" : " (" + who + ")"), gpu_remedy(entity.condition));
  }
  std::string absent;
  for (std::size_t row = 0, column = 0; row < catalogue.size(); ++row) {
    if (catalogue[row].scope != entity.scope) continue;
    const Status status = entity.readings[column++].status;
    if (status == Status::ok) continue;
    absent += (absent.empty() ? "; without " : ", ") + std::string(catalogue[row].name) + " (" +
              std::string(to_string(status)) + ")";
  }
  return ok(who + absent);
}

Check driver_calls(const Findings& f) {
  const ProbeReport& probe = f.probe;
  if (!probe.loaded) return skipped("there is no library to call (see library)");
  Check check = ok("");
  const ProbeReport::Call* slow = nullptr;
  Duration slowest{};
  for (const ProbeReport::Call& call : probe.calls) {
    check.calls.push_back(times_of(call));
    const Duration median = check.calls.back().median;
    if (call.phase == ProbeReport::Phase::reading && median > std::max(fresh_answer_max, slowest)) {
      slow = &call;
      slowest = median;
    }
  }
  if (still_running(probe)) {
    check.state = CheckState::failed;
    check.found = describe_hang(*probe.pending);
    check.remedy = hang_remedy;
  } else if (probe.end == ProbeReport::End::died) {
    check.state = CheckState::failed;
    check.found = describe_death(probe);
    check.remedy = "Install the driver again, library and kernel module of one release.";
  } else if (slow != nullptr) {
    check.state = CheckState::warning;
    check.found = slow->name + " takes " + readable(slowest) + ", more than the 10 ms of a whole pass";
    check.remedy = "Keep the GPUs awake with nvidia-persistenced, and look for Xid lines in dmesg on the node.";
  } else if (!probe.opened) {
    return skipped("no GPU was read (see driver_start and gpus)");
  } else {
    check.found = "every call returned in time";
  }
  return check;
}

Check pass_latency(const Findings& f) {
  if (!f.passes) return skipped("no GPU can be read (see driver_start and gpus)");
  const PassReport& passes = *f.passes;
  const std::string limit = readable(f.nvml_timeout) + " (--nvml-timeout)";
  if (passes.not_ready && passes.not_ready->code == ErrorCode::no_gpus) return skipped("no GPU is shown (see gpus)");
  if (passes.not_ready)
    return failed("the worker is not ready: " + passes.not_ready->context,
                  "See driver_calls; nothing can be read before.");
  if (passes.failure)
    return failed(passes.failure->context + ", limit " + limit, "See driver_calls for the call that is late.");
  std::vector<Duration> sorted = passes.took;
  std::ranges::sort(sorted);
  const Duration median = sorted[sorted.size() / 2];
  const std::string found = "a pass over " + count_of_gpus(passes.gpus.size()) + " takes " + readable(median) +
                            ", at most " + readable(sorted.back()) + "; limit " + limit;
  if (std::ranges::any_of(passes.gpus, [](const Entity& e) { return e.condition == Status::timed_out; }))
    return warning(found + "; one GPU was not waited for", "See driver_calls for the call that is late.");
  if (median > fresh_answer_max)
    return warning(found,
                   "See driver_calls for the slowest; keep the GPUs awake with nvidia-persistenced, or poll less.");
  return ok(found);
}

Check cache(const Findings& f) {
  if (!f.passes || !f.passes->cache) return skipped("nothing was read that could be kept");
  const CacheReport& cache = *f.passes->cache;
  const std::string ttl = "--cache-ttl " + readable(f.cache_ttl) + ": ";
  const std::string shared = "two requests at a time cause " + std::to_string(cache.passes_for_two_asks) + " pass";
  if (cache.passes_for_two_asks != 1) return failed(ttl + shared + "es", "Report this: it is a fault of gputach.");
  if (cache.third_is_hit)
    return ok(ttl + shared + ", the next is answered from the cache in " + readable(cache.answer_took));
  if (f.cache_ttl == Duration::zero())
    return warning(ttl + shared + ", every later one causes its own", "Set --cache-ttl 1s to spare the driver.");
  return warning(ttl + shared + ", the next causes another, since a pass takes longer than a reading is kept",
                 "Raise --cache-ttl above the time of a pass (see pass_latency).");
}

Check clock(const Findings& f) {
  constexpr WallTime first_release{std::chrono::sys_days{std::chrono::year{2025} / 1 / 1}};
  TextBuffer text;
  text.iso8601(f.clock.wall);
  const std::string now = text.take();
  if (f.clock.wall < first_release)
    return failed(now + " is in the past", "Set the machine's clock: every timestamp in an answer comes from it.");
  switch (f.clock.sync) {
    case ClockReport::Sync::unknown: return ok(now);
    case ClockReport::Sync::synchronised: return ok(now + ", synchronised");
    case ClockReport::Sync::not_synchronised: break;
  }
  return warning(now + ", not synchronised as the kernel sees it",
                 "Run a time service (chrony, systemd-timesyncd) on the node if timestamps of several are compared.");
}

}  // namespace gputach::checks
