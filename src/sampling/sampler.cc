#include "sampling/sampler.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>

#include <algorithm>
#include <cstdint>
#include <exception>

#include "base/log.h"
#include "sampling/derive.h"

namespace gputach {
namespace {

static_assert(catalogue.size() <= limits::metrics_max);

void raise(const Fd& event) {
  const std::uint64_t one = 1;
  (void)!::write(event.get(), &one, sizeof one);
}

}  // namespace

Sampler::Sampler(std::vector<std::unique_ptr<Source>> sources, Duration pass_timeout, const Clock& clock,
                 Counters& counters, Emit emit)
    : sources_(std::move(sources)),
      pass_timeout_(pass_timeout),
      clock_(clock),
      counters_(counters),
      emit_(std::move(emit)),
      wanted_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      stopped_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

Sampler::~Sampler() {
  stop();
}

void Sampler::start() {
  thread_ = std::thread([this] { run(); });
}

void Sampler::request() {
  raise(wanted_);
}

void Sampler::stop() {
  raise(stopped_);
  if (thread_.joinable()) thread_.join();
}

void Sampler::run() {
  ::prctl(PR_SET_NAME, "sampler");
  for (bool running = true; running;) {
    try {
      turn(running);
    } catch (const std::exception& error) {
      log_line(LogLevel::error, "sampler_failed", {{"what", error.what()}});
    }
  }
}

void Sampler::turn(bool& running) {
  std::vector<pollfd> waits = {{stopped_.get(), POLLIN, 0}, {wanted_.get(), POLLIN, 0}};
  Instant due = Instant::max();
  for (const auto& source : sources_) {
    const Source::Upkeep upkeep = source->upkeep();
    waits.insert(waits.end(), upkeep.descriptors.begin(), upkeep.descriptors.end());
    due = std::min(due, upkeep.due);
  }
  const timespec timeout = to_timespec(std::max(due - clock_.now(), Duration::zero()));
  ::ppoll(waits.data(), waits.size(), due == Instant::max() ? nullptr : &timeout, nullptr);
  if (waits[0].revents != 0) {
    running = false;
  } else if (waits[1].revents != 0) {
    std::uint64_t count = 0;
    (void)!::read(wanted_.get(), &count, sizeof count);
    pass();
  } else {
    for (const auto& source : sources_) source->tend();
  }
}

void Sampler::pass() {
  Sample sample;
  sample.collected = clock_.now();
  sample.collected_at = clock_.wall();
  try {
    collect(sample);
  } catch (const std::exception& error) {
    // Whoever waits is answered, whatever happened.
    log_line(LogLevel::error, "pass_failed", {{"what", error.what()}});
    sample.entities.clear();
    sample.failure = Error{ErrorCode::stopped, "worker stopped"};
  }
  sample.finished = clock_.now();
  count(sample);
  emit_(std::move(sample));
}

void Sampler::collect(Sample& sample) {
  const Instant deadline = sample.collected + pass_timeout_;
  std::optional<Error> failure;
  for (const auto& source : sources_) {
    const Result<void> read = source->read(sample, deadline, stopped_.get());
    if (read) continue;
    log_line(LogLevel::warning, "source_failed", {{"source", source->name()}, {"why", read.error().context}});
    if (!failure) failure = read.error();
  }
  derive(sample);
  // Without any entity there is nothing to show but the reason.
  if (sample.entities.empty()) sample.failure = std::move(failure);
}

void Sampler::count(const Sample& sample) {
  bump(counters_.passes);
  if (sample.failure) {
    bump(counters_.passes_failed[static_cast<std::size_t>(sample.failure->code)]);
  } else if (std::ranges::none_of(sample.entities, [](const Entity& e) { return e.condition == Status::ok; })) {
    bump(counters_.passes_failed[static_cast<std::size_t>(ErrorCode::all_failed)]);
  }
  for (const Entity& entity : sample.entities) {
    std::size_t column = 0;
    for (std::size_t row = 0; row < catalogue.size(); ++row) {
      if (catalogue[row].scope != entity.scope) continue;
      if (entity.readings[column++].status == Status::out_of_range) bump(counters_.out_of_range[row]);
    }
  }
}

}  // namespace gputach
