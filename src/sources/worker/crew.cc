#include "sources/worker/crew.h"

#include <utility>

namespace gputach {

Crew::Crew(unsigned devices, Instant now, Duration handle_overrun, Duration handle_overrun_min)
    : pass_(devices), devices_(devices) {
  constexpr Duration for_ever = std::chrono::hours(24);
  pass_.begin(0, now, {for_ever, handle_overrun, handle_overrun_min});
}

void Crew::begin(std::uint64_t ask_id, Instant now, Duration budget, Duration overrun) {
  pass_.begin(ask_id, now, Pass::Pace::for_devices(devices_, budget, overrun));
}

std::optional<unsigned> Crew::take(Instant now) {
  leader_device_ = pass_.take_next(now);
  if (!leader_device_) {
    alarm_at_ = Instant::max();
  } else if (alarm_at_ == Instant::max()) {
    alarm_at_ = pass_.late_at(*leader_device_);
  }
  return leader_device_;
}

bool Crew::deliver(Reader reader, unsigned device, bool shown, Entity entity) {
  pass_.returned(device, shown, std::move(entity));
  if (reader != leader_) return false;
  leader_device_.reset();
  return true;
}

std::optional<unsigned> Crew::alarmed(Instant now) {
  if (now < alarm_at_) return std::nullopt;
  alarm_at_ = Instant::max();
  if (!leader_device_) return std::nullopt;
  if (now < pass_.late_at(*leader_device_)) {
    alarm_at_ = pass_.late_at(*leader_device_);
    return std::nullopt;
  }
  pass_.passed_over();
  ++leader_;
  return std::exchange(leader_device_, std::nullopt);
}

Crew::Answer Crew::answer() const {
  if (leader_device_) return Answer::none;  // its call is not late yet
  if (starting_ && pass_.exhausted() && !pass_.any_shown()) return Answer::no_devices;
  if (!pass_.answerable()) return Answer::none;
  return starting_ ? Answer::ready : Answer::sample;
}

std::vector<Entity> Crew::take_answer(Instant now) {
  starting_ = false;
  return pass_.take_answer(now);
}

}  // namespace gputach
