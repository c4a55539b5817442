#include "sources/worker/supervisor.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/text_buffer.h"

namespace gputach {
namespace {

Error stopped() {
  return {ErrorCode::stopped, "worker stopped"};
}

Error not_initialized() {
  return {ErrorCode::not_initialized, "NVML not initialized"};
}

}  // namespace

Error timed_out_error(Duration timeout) {
  TextBuffer text;
  text << "NVML timed out after ";
  text.fixed(std::chrono::duration<double>(timeout).count(), 3);
  text << " s";
  return {ErrorCode::timed_out, text.take()};
}

Supervisor::Actions Supervisor::step(Instant now, const Event& event) {
  actions_.clear();
  std::visit([&](const auto& e) { on(now, e); }, event);
  return std::move(actions_);
}

Instant Supervisor::due() const {
  Instant due = open_ask_.value_or(Instant::max());
  if (phase_ == Phase::spawning || phase_ == Phase::starting) due = std::min(due, last_progress_ + settings_.startup);
  if ((phase_ == Phase::down && retry_unasked_) || phase_ == Phase::orphaned) due = std::min(due, retry_at_);
  return due;
}

void Supervisor::on(Instant now, const Begin&) {
  if (phase_ == Phase::down) spawn(now);
}

void Supervisor::on(Instant now, const Asked& event) {
  open_ask_ = event.deadline;
  switch (phase_) {
    case Phase::down:
      if (now >= retry_at_) {
        spawn(now);
      } else {
        finish(last_error_);
      }
      return;
    case Phase::ready: send_ask(); return;
    case Phase::ending: finish(last_error_); return;
    case Phase::orphaned: finish(stopped()); return;
    case Phase::spawning:
    case Phase::starting: return;                   // answered when it is ready
    case Phase::asking: ask_again_ = true; return;  // a withdrawn ask is still being worked on
  }
}

void Supervisor::on(Instant, const Withdrawn&) {
  open_ask_.reset();
}

void Supervisor::on(Instant now, const Spawned&) {
  if (phase_ != Phase::spawning) return;
  phase_ = Phase::starting;
  last_progress_ = now;
}

void Supervisor::on(Instant now, const SpawnFailed&) {
  if (phase_ != Phase::spawning && phase_ != Phase::ending) return;
  phase_ = Phase::down;
  count_failure(now, stopped());
  finish(stopped());
}

void Supervisor::on(Instant now, const Progressed&) {
  if (phase_ == Phase::starting) last_progress_ = now;
}

void Supervisor::on(Instant, const Ready&) {
  if (phase_ != Phase::starting) return;
  phase_ = Phase::ready;
  was_ready_ = true;
  if (open_ask_) send_ask();
}

void Supervisor::on(Instant now, const Refused& event) {
  if (phase_ != Phase::starting) return;
  count_failure(now, event.error);
  kill("the driver library does not start");
  finish(event.error);
}

void Supervisor::on(Instant now, const Answered& event) {
  if (phase_ != Phase::asking || event.ask_id != ask_id_) return;
  phase_ = Phase::ready;
  if (event.usable) failures_ = 0;
  // The answer to an ask that was withdrawn is older than the question of the one who asks now.
  const bool stale = std::exchange(ask_again_, false);
  if (event.restart_wanted) {
    count_failure(now, not_initialized());
    kill("the driver wants a fresh process");
    finish(event.usable && !stale ? std::nullopt : std::optional(not_initialized()));
    return;
  }
  if (stale && open_ask_) {
    send_ask();
    return;
  }
  finish(std::nullopt);
}

void Supervisor::on(Instant now, const Broken& event) {
  if (phase_ != Phase::starting && phase_ != Phase::ready && phase_ != Phase::asking) return;
  count_failure(now, stopped());
  kill(event.why);
  finish(stopped());
}

void Supervisor::on(Instant now, const Exited&) {
  if (phase_ == Phase::starting || phase_ == Phase::ready || phase_ == Phase::asking) {
    count_failure(now, stopped());
    finish(stopped());
  }
  if (phase_ == Phase::orphaned) return;
  phase_ = Phase::down;
  retry_unasked_ = was_ready_;
  was_ready_ = false;
}

void Supervisor::on(Instant now, const SpawnerLost&) {
  if (phase_ == Phase::orphaned) return;
  phase_ = Phase::orphaned;
  count_failure(now, stopped());
  finish(stopped());
}

void Supervisor::on(Instant now, const SpawnerReplaced&) {
  if (phase_ == Phase::orphaned) spawn(now);
}

void Supervisor::on(Instant now, const Tick&) {
  if (open_ask_ && now >= *open_ask_) {
    if (phase_ == Phase::asking) {
      count_failure(now, stopped());
      kill("no answer before the deadline");
      finish(timed_out_error(settings_.ask_timeout));
    } else {
      finish(not_initialized());
    }
  }
  const bool starting = phase_ == Phase::spawning || phase_ == Phase::starting;
  if (starting && now >= last_progress_ + settings_.startup) {
    count_failure(now, not_initialized());
    kill("no progress while starting");
    finish(not_initialized());
  }
  if (phase_ == Phase::down && retry_unasked_ && now >= retry_at_) spawn(now);
  if (phase_ == Phase::orphaned && now >= retry_at_) {
    count_failure(now, stopped());  // until it has worked
    actions_.emplace_back(ReplaceSpawner{});
  }
}

void Supervisor::spawn(Instant now) {
  phase_ = Phase::spawning;
  retry_unasked_ = false;
  was_ready_ = false;
  last_progress_ = now;
  actions_.emplace_back(Spawn{});
}

void Supervisor::send_ask() {
  phase_ = Phase::asking;
  actions_.emplace_back(SendAsk{++ask_id_});
}

void Supervisor::kill(std::string why) {
  phase_ = Phase::ending;
  ask_again_ = false;
  actions_.emplace_back(Kill{std::move(why)});
}

void Supervisor::finish(std::optional<Error> error) {
  if (!open_ask_) return;
  open_ask_.reset();
  actions_.emplace_back(Finish{std::move(error)});
}

void Supervisor::count_failure(Instant now, Error error) {
  Duration delay = settings_.respawn_first;
  for (unsigned i = 0; i < failures_ && delay < settings_.respawn_max; ++i) delay *= 2;
  ++failures_;
  retry_at_ = now + std::min(delay, settings_.respawn_max);
  last_error_ = std::move(error);
}

std::string_view to_string(Supervisor::Phase phase) {
  constexpr std::array<std::string_view, 7> names = {"down",   "spawning", "starting", "ready",
                                                     "asking", "ending",   "orphaned"};
  return names[static_cast<std::size_t>(phase)];
}

}  // namespace gputach
