// Purpose: decides for each request whether the last result still holds, and sees to it that any number of requests
//          cause one pass. Pure: no clock, thread or socket.
// Units: Instant and Duration; ages count from the start of collection, for an error from its end.
// Owns: its state; a value.
// Threads: one (the io thread).
// Fails: never; beyond `waiters_max` a request is refused.
#pragma once

#include <cstddef>
#include <optional>

#include "base/clock.h"

namespace gputach {

class SingleFlight {
 public:
  struct Settings {
    Duration ttl{};
    Duration wait_max{};  // a guard above the pass's own deadline
    std::size_t waiters_max = 0;
  };
  enum class Verdict : unsigned char {
    hit,      // the last result is younger than the TTL
    started,  // wait; a pass has to be asked for
    joined,   // wait; a pass is on its way
    refused,  // too many wait already
  };

  explicit SingleFlight(Settings settings) : settings_(settings) {}

  // Also for the result that is there.
  void set_ttl(Duration ttl) { settings_.ttl = ttl; }

  // Whether the last result still holds.
  [[nodiscard]] bool fresh(Instant now) const { return result_from_ && now - *result_from_ < settings_.ttl; }
  [[nodiscard]] Verdict request(Instant now);

  // A pass ended: everybody who waits gets its result. An error ages from now, so that a driver that takes long to fail
  // is not asked again at once.
  void finished(Instant now, Instant collected, bool failed);

  // When overdue() is to be called; Instant::max() for never.
  [[nodiscard]] Instant due() const;
  // True when everybody who waits has to be told that the pass did not end in time. It is then remembered as an error,
  // and its result, should it come, counts by its own age.
  [[nodiscard]] bool overdue(Instant now);

  [[nodiscard]] std::size_t waiters() const { return waiters_; }
  [[nodiscard]] bool in_flight() const { return in_flight_; }

 private:
  Settings settings_;
  std::optional<Instant> result_from_;
  bool in_flight_ = false;
  Instant waiting_since_{};
  std::size_t waiters_ = 0;
};

}  // namespace gputach
