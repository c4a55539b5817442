#include "sources/worker/pass.h"

#include <algorithm>

#include "base/text_buffer.h"

namespace gputach {
namespace {

std::string late_text(Duration late) {
  TextBuffer text;
  text << "timed out after ";
  text.fixed(std::chrono::duration<double>(late).count(), 1);
  text << " s";
  return text.take();
}

}  // namespace

void Pass::begin(std::uint64_t id, Instant now, Duration budget, Duration overrun) {
  id_ = id;
  ++serial_;
  next_ = 0;
  budget_end_ = now + budget;
  overrun_ = overrun;
  taken_ = false;
}

std::optional<unsigned> Pass::take_next(Instant now) {
  if (now >= budget_end_) next_ = slots_.size();
  for (; next_ < slots_.size(); ++next_) {
    Slot& slot = slots_[next_];
    if (slot.busy || slot.hidden) continue;
    slot.busy = true;
    slot.busy_in = serial_;
    slot.began = now;
    return static_cast<unsigned>(next_++);
  }
  return std::nullopt;
}

void Pass::returned(unsigned index, bool shown, Entity entity) {
  Slot& slot = slots_[index];
  slot.busy = false;
  slot.hidden = !shown;
  slot.known = true;
  // A call that began in an earlier pass brings figures of that time: good enough to name the device, not to show it.
  if (slot.busy_in == serial_) slot.read_in = serial_;
  slot.last = std::move(entity);
}

bool Pass::overrun(unsigned slot, Instant now) const {
  return slots_[slot].busy && now >= overrun_at(slot);
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
    late.fault = late_text(slot.busy ? now - slot.began : overrun_);
  }
  return answer;
}

bool Pass::any_shown() const {
  return std::ranges::any_of(slots_, [](const Slot& s) { return !s.hidden; });
}

}  // namespace gputach
