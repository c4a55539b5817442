// Purpose: the server process: owns everything in order of construction; reading daemon.cc is reading the architecture.
// Owns: spawner, sampler, hub, routes, http server and their threads.
// Threads: run_daemon() on main; it returns after SIGTERM or SIGINT.
// Fails: returns an exit status; a sentence went to standard error.
#pragma once

#include <string>
#include <vector>

#include "app/setup.h"

namespace gputach {

// `outside` is what command line and environment say, for the reload on SIGHUP.
int run_daemon(const Setup& setup, const std::vector<Given>& outside, const std::vector<std::string>& worker_arguments);

// The worker process of such a daemon.
[[noreturn]] void run_worker_process(const Config& config);

}  // namespace gputach
