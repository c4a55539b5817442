// Purpose: passes as the server makes them, through a worker process, with their times; what the cache does with them;
//          and what the kernel says of the clock.
// Units: Duration.
// Owns: a spawner and a worker while it runs.
// Threads: main; run_passes() forks.
// Fails: never; what went wrong is part of the report.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "app/config.h"
#include "base/result.h"
#include "model/entity.h"

namespace gputach {

struct CacheReport {
  unsigned passes_for_two_asks = 0;  // asked at the same time
  bool third_is_hit = false;         // asked right after the answer
  Duration answer_took{};            // of the third, when it is a hit
};

struct PassReport {
  std::optional<Error> not_ready;  // the worker does not come up
  std::optional<Error> failure;    // of a pass
  std::vector<Duration> took;
  std::vector<Entity> gpus;  // as the last pass saw them
  std::optional<CacheReport> cache;
};

[[nodiscard]] PassReport run_passes(const Config& config, const std::vector<std::string>& worker_arguments,
                                    const Clock& clock);

struct ClockReport {
  enum class Sync : unsigned char { unknown, synchronised, not_synchronised };
  WallTime wall{};
  Sync sync{};
};

[[nodiscard]] ClockReport look_at_clock(const Clock& clock);

}  // namespace gputach
