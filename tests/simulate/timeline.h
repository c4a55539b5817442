// Purpose: what every actor of a simulated schedule shares: the time, what is going to happen, chance, the findings.
// Units: Instant.
// Owns: the events; what they refer to must outlive them.
// Threads: one.
// Fails: a broken invariant is a sentence in `broken`; the same seed breaks in the same way.
#pragma once

#include <functional>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "base/clock.h"

namespace gputach::simulate {

class Timeline {
 public:
  explicit Timeline(std::uint64_t seed) : random_(seed) {}

  static constexpr Instant start{std::chrono::hours(1)};
  Instant now = start;
  Instant heal_at{};  // from then on nothing is broken any more
  std::vector<std::string> broken;
  std::vector<std::string> trace;

  [[nodiscard]] bool healed() const { return now >= heal_at; }

  void after(Duration delay, std::function<void()> work) { events_.emplace(now + delay, std::move(work)); }
  [[nodiscard]] Instant next_event() const { return events_.empty() ? Instant::max() : events_.begin()->first; }
  // The next one, when its time has come.
  void run_one() {
    if (next_event() > now) return;
    const auto work = std::move(events_.begin()->second);
    events_.erase(events_.begin());
    work();
  }

  [[nodiscard]] std::uint64_t below(std::uint64_t bound) { return random_() % bound; }
  [[nodiscard]] bool chance(unsigned percent) { return below(100) < percent; }
  [[nodiscard]] Duration between(Duration low, Duration high) {
    return low + Duration(static_cast<std::int64_t>(below(static_cast<std::uint64_t>((high - low).count() + 1))));
  }
  // What a fault delays comes at the fault's end at the latest.
  [[nodiscard]] Duration until_healed() const { return std::max(heal_at - now, Duration(0)) + healing; }
  [[nodiscard]] Duration faulty(Duration low, Duration high) { return std::min(between(low, high), until_healed()); }

  void check(bool condition, const std::string& sentence) {
    if (!condition) broken.push_back(sentence);
  }
  void note(std::string what) {
    trace.push_back(std::to_string((now - start).count() / 1'000'000) + " ms " + std::move(what));
  }

 private:
  static constexpr Duration healing = std::chrono::milliseconds(30);

  std::mt19937_64 random_;
  std::multimap<Instant, std::function<void()>> events_;
};

}  // namespace gputach::simulate
