// Purpose: from findings to a list of checks, each with its remedy: the troubleshooting section as a pure function.
// Owns: values only.
// Threads: any.
// Fails: never.
//
// Two rules. What works is not judged by its traces: where the driver has started, a file that cannot be seen is no
// fault. And a check whose subject cannot be there because another check failed is skipped and names that one, so that
// what failed is the cause.
#pragma once

#include <string>
#include <vector>

#include "app/doctor_check.h"
#include "app/doctor_measure.h"
#include "app/doctor_probe.h"
#include "app/doctor_surroundings.h"

namespace gputach {

struct Findings {
  Surroundings here;
  ProbeReport probe;
  std::optional<PassReport> passes;  // nothing when the probe showed that no worker can come up
  ClockReport clock;
  // What was configured.
  std::string library_path;
  Duration nvml_timeout{};
  Duration cache_ttl{};
};

// In a fixed order; after "gpus" one "gpu_N" for each GPU shown.
[[nodiscard]] std::vector<Check> judge(const Findings& findings);

// Whether it makes sense to start a worker after this probe.
[[nodiscard]] bool worth_passes(const ProbeReport& probe);

// The single checks, in doctor_machine.cc and doctor_driver.cc.
namespace checks {

[[nodiscard]] Check hardware(const Findings& f);
[[nodiscard]] Check library(const Findings& f);
[[nodiscard]] Check kernel_driver(const Findings& f);
[[nodiscard]] Check version_match(const Findings& f);
[[nodiscard]] Check device_nodes(const Findings& f);
[[nodiscard]] Check container(const Findings& f);
[[nodiscard]] Check pod_resources(const Findings& f);

[[nodiscard]] Check driver_start(const Findings& f);
[[nodiscard]] Check gpus(const Findings& f);
[[nodiscard]] Check gpu(const Entity& entity);
[[nodiscard]] Check driver_calls(const Findings& f);
[[nodiscard]] Check pass_latency(const Findings& f);
[[nodiscard]] Check cache(const Findings& f);
[[nodiscard]] Check clock(const Findings& f);

[[nodiscard]] inline Check ok(std::string found) {
  return {.state = CheckState::ok, .found = std::move(found)};
}
[[nodiscard]] inline Check warning(std::string found, std::string remedy) {
  return {.state = CheckState::warning, .found = std::move(found), .remedy = std::move(remedy)};
}
[[nodiscard]] inline Check failed(std::string found, std::string remedy) {
  return {.state = CheckState::failed, .found = std::move(found), .remedy = std::move(remedy)};
}
[[nodiscard]] inline Check skipped(std::string reason) {
  return {.state = CheckState::skipped, .found = std::move(reason)};
}

}  // namespace checks
}  // namespace gputach
