#include "app/doctor.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "app/doctor_judge.h"
#include "base/log.h"

namespace gputach {
namespace {

constexpr int something_failed = 1;

Findings examine(const Config& config, const std::vector<std::string>& worker_arguments) {
  const SystemClock clock;
  Findings findings;
  findings.library_path = config.nvml_library;
  findings.nvml_timeout = config.nvml_timeout;
  findings.cache_ttl = config.cache_ttl;
  findings.here = look_around("", [](const char* name) -> const char* { return std::getenv(name); });
  findings.clock = look_at_clock(clock);
  ProbeOptions options;
  options.nvml.library_path = config.nvml_library;
  options.nvml.devices = config.devices;
  options.call_max = config.nvml_timeout;
  // Until the end: while it has the driver open, the worker's GPUs need not wake up once more.
  Result<Probe> probe = Probe::start(options, clock);
  if (!probe) {
    findings.probe.complaint = probe.error().context;
    return findings;
  }
  findings.probe = probe->collect();
  if (worth_passes(findings.probe)) findings.passes = run_passes(config, worker_arguments, clock);
  return findings;
}

}  // namespace

int run_doctor(const Config& config, const std::vector<std::string>& worker_arguments, const std::string& format) {
  log_threshold(std::max(config.log_level, LogLevel::error));
  const std::vector<Check> checks = judge(examine(config, worker_arguments));
  const std::string text = format == "json" ? checks_as_json(checks) : checks_as_text(checks);
  if (std::fputs(text.c_str(), stdout) < 0 || std::fflush(stdout) != 0) return something_failed;
  return any_failed(checks) ? something_failed : 0;
}

}  // namespace gputach
