#include "simulate/hardware.h"

#include <algorithm>

namespace gputach::simulate {
namespace {

using namespace std::chrono_literals;

constexpr unsigned devices_max = 12;

}  // namespace

Hardware::Hardware(Timeline& timeline) : timeline_(timeline) {
  windows_.resize(1 + timeline.below(devices_max));
  hidden_.resize(windows_.size());
  for (std::size_t device = 1; device < hidden_.size(); ++device) hidden_[device] = timeline.chance(5);
  all_hidden_until_healed_ = timeline.chance(2);
  // Half of the schedules break one device at a time, the others many at once.
  const unsigned share = timeline.chance(50) ? 10 : 50;
  const Duration span = timeline.heal_at - Timeline::start;
  for (auto& windows : windows_) {
    while (timeline.chance(share) && windows.size() < 4) {
      const auto dice = timeline.below(10);
      const Kind kind = dice < 5 ? Kind::hang : dice < 6 ? Kind::hang_with_lock : dice < 8 ? Kind::slow : Kind::lost;
      const Instant from = Timeline::start + timeline.between(0s, span);
      windows.push_back({kind, from, std::min(from + timeline.between(100ms, 60s), timeline.heal_at)});
    }
  }
  if (timeline.chance(30)) brew_storm(span);
}

// Most devices are struck at the same moment.
void Hardware::brew_storm(Duration span) {
  const Kind kind = timeline_.chance(50) ? Kind::hang : Kind::slow;
  const Instant from = Timeline::start + timeline_.between(0s, span);
  const Instant to = std::min(from + timeline_.between(1s, 60s), timeline_.heal_at);
  const bool alone = timeline_.chance(50);
  for (auto& windows : windows_) {
    if (alone) windows.clear();
    if (timeline_.chance(70)) windows.push_back({kind, from, to});
  }
}

bool Hardware::hidden(unsigned device) const {
  return hidden_[device] || (all_hidden_until_healed_ && !timeline_.healed());
}

bool Hardware::in_window(unsigned device, Kind kind) const {
  return std::ranges::any_of(windows_[device], [&](const Window& w) {
    return w.kind == kind && w.from <= timeline_.now && timeline_.now < w.to;
  });
}

Duration Hardware::call(unsigned device) {
  Duration time = timeline_.between(100us, 3ms);
  bool locks = false;
  for (const Window& window : windows_[device]) {
    if (timeline_.now < window.from || timeline_.now >= window.to) continue;
    if (window.kind == Kind::slow) time += timeline_.between(50ms, 700ms);
    if (window.kind == Kind::hang || window.kind == Kind::hang_with_lock)
      time = std::max(time, window.to - timeline_.now + timeline_.between(0ms, 10ms));
    locks = locks || window.kind == Kind::hang_with_lock;
  }
  const Duration lock_wait = std::max(locked_until_ - timeline_.now, Duration(0));
  time = std::min(lock_wait + time, std::max(timeline_.until_healed(), Duration(3ms)));
  if (locks) locked_until_ = timeline_.now + time;
  return time;
}

Duration Hardware::first_handle(unsigned device) {
  const Duration wake = timeline_.chance(5) ? timeline_.faulty(1ms, 30s) : timeline_.faulty(1ms, 2s);
  return std::max(call(device), wake);
}

bool Hardware::only_others_hung_since(unsigned device, Instant since) const {
  if (hidden(device) || locked_until_ >= since) return false;
  for (unsigned other = 0; other < devices(); ++other) {
    for (const Window& window : windows_[other]) {
      const bool harmless = other != device && (window.kind == Kind::hang || window.kind == Kind::lost);
      if (!harmless && window.from <= timeline_.now && window.to + 1s >= since) return false;
    }
  }
  return true;
}

}  // namespace gputach::simulate
