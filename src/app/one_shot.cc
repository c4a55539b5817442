#include "app/one_shot.h"

#include <sys/eventfd.h>

#include <algorithm>
#include <cstdio>

#include "base/limits.h"
#include "base/log.h"
#include "encode/stats_json.h"
#include "encode/stats_table.h"
#include "sampling/derive.h"
#include "sources/worker/worker_source.h"

namespace gputach {
namespace {

constexpr int some_failed = 1;
constexpr int nothing_read = 3;

// Nobody else waits, so a start may take the time that a start may take.
Result<Sample> read_now(const Config& config, const std::vector<std::string>& worker_arguments) {
  Result<Spawner> spawner = Spawner::fork_off(worker_arguments);
  if (!spawner) return std::unexpected(spawner.error());
  const SystemClock clock;
  WorkerSource source(*std::move(spawner), {.ask_timeout = config.nvml_timeout}, clock);
  const Fd never(::eventfd(0, EFD_CLOEXEC));
  Result<void> started = source.wait_until_ready(clock.now() + config.nvml_timeout, never.get());
  if (!started && started.error().code == ErrorCode::timed_out) {
    std::fprintf(stderr, "gputach: waiting for the driver to start\n");
    started = source.wait_until_ready(clock.now() + limits::worker_startup, never.get());
  }
  Sample sample;
  sample.collected = clock.now();
  sample.collected_at = clock.wall();
  if (!started) {
    sample.failure = started.error();
  } else if (const Result<void> read = source.read(sample, sample.collected + config.nvml_timeout, never.get());
             !read) {
    sample.failure = read.error();
  }
  derive(sample);
  sample.finished = clock.now();
  return sample;
}

}  // namespace

int run_once(const Config& config, const std::vector<std::string>& worker_arguments, const std::string& format) {
  // What goes wrong is said; what goes well need not be.
  log_threshold(config.log_level == LogLevel::info ? LogLevel::warning : config.log_level);
  const Result<Sample> sample = read_now(config, worker_arguments);
  if (!sample) {
    std::fprintf(stderr, "gputach: %s\n", sample.error().context.c_str());
    return nothing_read;
  }
  const StatsPage page = encode_stats(*sample, MissingFields::listed_in_body);
  const std::string text = format == "json" ? page.body + "\n" : encode_stats_table(*sample);
  if (std::fputs(text.c_str(), stdout) < 0 || std::fflush(stdout) != 0) {
    std::fprintf(stderr, "gputach: standard output cannot be written\n");
    return nothing_read;
  }
  if (page.failed) return nothing_read;
  const bool all = std::ranges::all_of(sample->entities, can_be_shown);
  return all ? 0 : some_failed;
}

}  // namespace gputach
