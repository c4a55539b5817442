// Purpose: what the daemon has done and dropped so far, for GET /proxy/v1/daemon.
// Units: events since start.
// Owns: plain numbers; the daemon owns the one object there is and hands it to those who count.
// Threads: bumped and read by any; each number is right by itself, not in step with the others.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "base/limits.h"
#include "base/result.h"

namespace gputach {

struct Counters {
  using Count = std::atomic<std::uint64_t>;

  Count passes{0};
  std::array<Count, error_code_count> passes_failed{};    // without any GPU to show, by the reason
  std::array<Count, limits::metrics_max> out_of_range{};  // readings dropped as impossible, by row of the catalogue
  Count workers_started{0};
  Count workers_not_started{0};  // the system refused a process
  Count workers_given_up{0};     // killed: they hung, crashed, spoke nonsense or wanted to be replaced
  Count workers_exited{0};       // reaped
};

inline void bump(Counters::Count& count) {
  count.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace gputach
