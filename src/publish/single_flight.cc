#include "publish/single_flight.h"

namespace gputach {

SingleFlight::Verdict SingleFlight::request(Instant now) {
  if (fresh(now)) return Verdict::hit;
  if (waiters_ >= settings_.waiters_max) return Verdict::refused;
  if (waiters_++ == 0) waiting_since_ = now;
  if (in_flight_) return Verdict::joined;
  in_flight_ = true;
  return Verdict::started;
}

void SingleFlight::finished(Instant now, Instant collected, bool failed) {
  in_flight_ = false;
  waiters_ = 0;
  result_from_ = failed ? now : collected;
}

Instant SingleFlight::due() const {
  return waiters_ > 0 ? waiting_since_ + settings_.wait_max : Instant::max();
}

bool SingleFlight::overdue(Instant now) {
  if (now < due()) return false;
  waiters_ = 0;
  result_from_ = now;
  return true;
}

}  // namespace gputach
