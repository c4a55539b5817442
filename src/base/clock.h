// Purpose: the only place where time comes from, so that tests can hold it in their hands.
// Units: Instant is CLOCK_MONOTONIC, the same in every process of one machine; WallTime is UTC; both in nanoseconds.
// Owns: nothing. Whoever takes a `const Clock&` must not outlive it.
// Threads: any for SystemClock; ManualClock belongs to one thread.
#pragma once

#include <chrono>
#include <ctime>

namespace gputach {

using Duration = std::chrono::nanoseconds;
using Instant = std::chrono::time_point<std::chrono::steady_clock, Duration>;
using WallTime = std::chrono::time_point<std::chrono::system_clock, Duration>;

// For the system calls that take one.
[[nodiscard]] constexpr timespec to_timespec(Duration duration) {
  constexpr std::int64_t second = 1'000'000'000;
  return {static_cast<std::time_t>(duration.count() / second), static_cast<long>(duration.count() % second)};
}

class Clock {
 public:
  virtual ~Clock() = default;
  [[nodiscard]] virtual Instant now() const = 0;
  [[nodiscard]] virtual WallTime wall() const = 0;
};

class SystemClock final : public Clock {
 public:
  [[nodiscard]] Instant now() const override;
  [[nodiscard]] WallTime wall() const override;
};

class ManualClock final : public Clock {
 public:
  [[nodiscard]] Instant now() const override { return now_; }
  [[nodiscard]] WallTime wall() const override { return wall_; }
  void advance(Duration by) {
    now_ += by;
    wall_ += by;
  }

 private:
  Instant now_{std::chrono::hours(1)};
  WallTime wall_{std::chrono::seconds(1'762'684'245)};
};

}  // namespace gputach
