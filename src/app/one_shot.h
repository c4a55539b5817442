// Purpose: answers on the command line, without a server: the same worker, readers and encoders.
// Owns: a spawner and a worker while it runs.
// Threads: main.
// Fails: returns an exit status; what could not be had is said on standard error.
#pragma once

#include <string>
#include <vector>

#include "app/config.h"

namespace gputach {

// One pass; JSON names what a board does not have, as ?missing=list does.
// 0: every GPU was read; 1: some failed (they are named); 2: bad usage; 3: no figures at all.
[[nodiscard]] int run_once(const Config& config, const std::vector<std::string>& worker_arguments,
                           const std::string& format);

}  // namespace gputach
