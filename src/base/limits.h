// Purpose: every fixed bound of the program with its unit, on one page. What a user may change is a flag.
// Units: in the name or the type.
// Source: NVML has no device limit of its own; 64 is the largest node that NVIDIA's tools are documented for.
#pragma once

#include <chrono>
#include <cstddef>

namespace gputach::limits {

using namespace std::chrono_literals;

// GPUs and what they say.
inline constexpr unsigned gpus_max = 64;
inline constexpr std::size_t metrics_max = 64;           // rows of the catalogue
inline constexpr std::size_t label_bytes_max = 256;      // name, UUID, error text of one GPU
inline constexpr std::size_t frame_bytes_max = 1 << 20;  // one message from the worker

// The worker process.
inline constexpr auto worker_startup = 60s;          // without any progress; a GPU handle that arrives is progress
inline constexpr auto worker_handle_overrun = 20s;   // one GPU's first handle, before it is said to hang
inline constexpr auto worker_handle_late = 5s;       // the same, before the next GPU is tried beside it
inline constexpr auto worker_handle_late_min = 2s;   // and once others have been late, so that the rest comes up
inline constexpr auto worker_respawn_first = 100ms;  // delay after the first failure, doubled each time
inline constexpr auto worker_respawn_max = 3s;       // with an error remembered for 1 s, 5 s suffice to recover
inline constexpr auto spawner_exit = 400ms;          // how long the daemon waits for its spawner at the end

// Requests that wait for a pass.
inline constexpr std::size_t waiters_max = 16384;

}  // namespace gputach::limits
