// Purpose: `gputach doctor`: what stands between this process and the GPUs, and what to do about it.
// Owns: a probe process, a spawner and a worker while it runs.
// Threads: main.
// Fails: returns an exit status; a check that fails is said on standard output.
#pragma once

#include <string>
#include <vector>

#include "app/config.h"

namespace gputach {

// 0: nothing failed (warnings are allowed); 1: something failed; 2: bad usage.
[[nodiscard]] int run_doctor(const Config& config, const std::vector<std::string>& worker_arguments,
                             const std::string& format);

}  // namespace gputach
