#include "app/doctor_measure.h"

#include <sys/eventfd.h>
#include <sys/timex.h>

#include <memory>

#include "base/fd.h"
#include "base/limits.h"
#include "publish/hub.h"
#include "sampling/derive.h"
#include "sources/worker/worker_source.h"

namespace gputach {
namespace {

constexpr unsigned passes = 5;

class Measurement {
 public:
  Measurement(const Config& config, WorkerSource& source, const Clock& clock)
      : config_(config), source_(source), clock_(clock), never_(::eventfd(0, EFD_CLOEXEC)) {}

  PassReport run() {
    PassReport report;
    const Instant deadline = clock_.now() + limits::worker_startup;
    if (const auto ready = source_.wait_until_ready(deadline, never_.get()); !ready) {
      report.not_ready = ready.error();
      return report;
    }
    for (unsigned pass = 0; pass < passes; ++pass) {
      Sample sample = read();
      report.failure = sample.failure;
      report.gpus = std::move(sample.entities);
      if (report.failure) return report;
      report.took.push_back(sample.finished - sample.collected);
    }
    report.cache = ask_the_cache();
    return report;
  }

 private:
  Sample read() {
    Sample sample;
    sample.collected = clock_.now();
    sample.collected_at = clock_.wall();
    const auto done = source_.read(sample, sample.collected + config_.nvml_timeout, never_.get());
    if (!done) sample.failure = done.error();
    derive(sample);
    sample.finished = clock_.now();
    return sample;
  }

  // The server's own cache, with this machine's passes.
  CacheReport ask_the_cache() {
    CacheReport report;
    unsigned wanted = 0;
    Hub hub(
        {.flight = {.ttl = config_.cache_ttl, .wait_max = limits::worker_startup, .waiters_max = 2}, .overdue = {}},
        clock_, [&wanted] { ++wanted; }, [](Duration, const std::move_only_function<void()>&) {});
    const auto ignore = [](const SnapshotPtr&, CacheState) {};
    hub.fresh(ignore);
    hub.fresh(ignore);
    report.passes_for_two_asks = wanted;
    hub.publish(std::make_shared<const Snapshot>(read()));
    const Instant asked = clock_.now();
    hub.fresh([&](const SnapshotPtr&, CacheState state) { report.third_is_hit = state == CacheState::hit; });
    report.answer_took = clock_.now() - asked;
    return report;
  }

  const Config& config_;
  WorkerSource& source_;
  const Clock& clock_;
  const Fd never_;
};

}  // namespace

PassReport run_passes(const Config& config, const std::vector<std::string>& worker_arguments, const Clock& clock) {
  Result<Spawner> spawner = Spawner::fork_off(worker_arguments);
  if (!spawner) {
    PassReport report;
    report.not_ready = spawner.error();
    return report;
  }
  WorkerSource source(*std::move(spawner), {.ask_timeout = config.nvml_timeout}, clock);
  return Measurement(config, source, clock).run();
}

ClockReport look_at_clock(const Clock& clock) {
  ClockReport report;
  report.wall = clock.wall();
  timex question{};  // no modes: only asks, which everybody may
  const int state = ::adjtimex(&question);
  if (state >= 0) {
    const bool synchronised = state != TIME_ERROR && (question.status & STA_UNSYNC) == 0;
    report.sync = synchronised ? ClockReport::Sync::synchronised : ClockReport::Sync::not_synchronised;
  }
  return report;
}

}  // namespace gputach
