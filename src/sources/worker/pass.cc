#include "sources/worker/pass.h"

#include <algorithm>

#include "base/text_buffer.h"

namespace gputach {
namespace {

constexpr unsigned halvings_max = 16;  // less than a millisecond of anything

std::string late_text(Duration late) {
  TextBuffer text;
  text << "timed out after ";
  text.fixed(std::chrono::duration<double>(late).count(), 1);
  text << " s";
  return text.take();
}

}  // namespace

// The halves of `overrun` add up to less than twice of it.
Pass::Pace Pass::Pace::for_devices(std::size_t devices, Duration budget, Duration overrun) {
  const auto share = (budget - 2 * overrun) / static_cast<std::int64_t>(std::max<std::size_t>(devices, 1));
  return {budget, overrun, std::clamp(share, Duration::zero(), overrun)};
}

void Pass::begin(std::uint64_t id, Instant now, const Pace& pace) {
  id_ = id;
  ++serial_;
  first_ = next_first_;
  next_first_ = 0;
  steps_ = 0;
  pace_ = pace;
  budget_end_ = now + pace.budget;
  late_calls_ = 0;
  taken_ = false;
}

std::optional<unsigned> Pass::take_next(Instant now) {
  for (; steps_ < slots_.size(); ++steps_) {
    const std::size_t index = (first_ + steps_) % slots_.size();
    Slot& slot = slots_[index];
    if (slot.busy) slot.out_in = serial_;
    if (slot.busy || slot.hidden) continue;
    if (now >= budget_end_) {
      next_first_ = index;
      steps_ = slots_.size();
      return std::nullopt;
    }
    slot.busy = true;
    slot.begun_in = serial_;
    slot.began = now;
    slot.patience = std::max(pace_.overrun / (1 << std::min(late_calls_, halvings_max)), pace_.overrun_min);
    ++steps_;
    return static_cast<unsigned>(index);
  }
  return std::nullopt;
}

void Pass::returned(unsigned index, bool shown, Entity entity) {
  Slot& slot = slots_[index];
  slot.busy = false;
  slot.hidden = !shown;
  slot.known = true;
  // A call that began in an earlier pass brings figures of that time: good enough to name the device, not to show it.
  if (slot.begun_in == serial_) slot.read_in = serial_;
  slot.last = std::move(entity);
}

// A call still out when the budget ends is late as well: what the others said must arrive before the deadline.
Instant Pass::late_at(unsigned index) const {
  return std::min(slots_[index].began + slots_[index].patience, budget_end_);
}

bool Pass::answerable() const {
  if (taken_ || !exhausted()) return false;
  return std::ranges::any_of(slots_, [&](const Slot& s) { return !s.busy && !s.hidden && s.read_in == serial_; });
}

std::vector<Entity> Pass::take_answer(Instant now) {
  taken_ = true;
  std::vector<Entity> answer;
  answer.reserve(slots_.size());
  for (unsigned index = 0; index < slots_.size(); ++index) {
    const Slot& slot = slots_[index];
    if (slot.hidden) continue;
    if (!slot.busy && slot.read_in == serial_) {
      answer.push_back(slot.last);
      continue;
    }
    Entity& late = answer.emplace_back(Scope::gpu, index);
    if (slot.known) {
      late.name = slot.last.name;
      late.uuid = slot.last.uuid;
    }
    late.condition = Status::timed_out;
    late.fault = fault_of(slot, now);
  }
  return answer;
}

std::string Pass::fault_of(const Slot& slot, Instant now) const {
  // Otherwise the others took all the time there was.
  const bool late = slot.busy || slot.out_in == serial_;
  return late ? late_text(now - slot.began) : "not reached in time";
}

bool Pass::any_shown() const {
  return std::ranges::any_of(slots_, [](const Slot& s) { return !s.hidden; });
}

}  // namespace gputach
