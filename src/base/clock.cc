#include "base/clock.h"

namespace gputach {

Instant SystemClock::now() const {
  return std::chrono::steady_clock::now();
}

WallTime SystemClock::wall() const {
  return std::chrono::system_clock::now();
}

}  // namespace gputach
