// Purpose: the book-keeping of one pass over all devices: who is read, who is late, when an answer can leave.
//          Pure: threads, sockets and clocks are in worker.cc.
// Units: Instant.
// Owns: the last known identity of each device, so that a late one can still be named.
// Threads: none of its own; the caller holds a lock.
// Fails: never.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "model/entity.h"

namespace gputach {

class Pass {
 public:
  explicit Pass(unsigned slots) : slots_(slots) {}

  // Begins a pass; what belonged to the one before is forgotten, calls still out remain known as busy.
  void begin(std::uint64_t id, Instant now, Duration budget, Duration overrun);
  // The next device to be read, marked busy; nothing when the list is at its end or the budget is spent.
  [[nodiscard]] std::optional<unsigned> take_next(Instant now);
  // A call returned, in time or late. `shown` is false for a device that is never to be asked again.
  void returned(unsigned slot, bool shown, Entity entity);
  // The call that the reading thread is in, if it is late.
  [[nodiscard]] bool overrun(unsigned slot, Instant now) const;

  // Every device is read or late, at least one is read, and the answer was not taken yet.
  [[nodiscard]] bool answerable() const;
  // All devices to be shown, the late ones with a fault. Once per pass.
  [[nodiscard]] std::vector<Entity> take_answer(Instant now);

  [[nodiscard]] std::uint64_t id() const { return id_; }
  [[nodiscard]] Instant overrun_at(unsigned slot) const { return slots_[slot].began + overrun_; }
  [[nodiscard]] bool any_shown() const;
  // False for good once a call found that the device is not to be shown.
  [[nodiscard]] bool exhausted() const { return next_ >= slots_.size(); }

 private:
  struct Slot {
    bool busy = false;
    bool hidden = false;
    bool known = false;         // `last` holds an identity
    std::uint64_t busy_in = 0;  // the pass in which the call began
    std::uint64_t read_in = 0;  // the pass in which it was last read
    Instant began{};
    Entity last;
  };

  std::vector<Slot> slots_;
  std::uint64_t id_ = 0;
  std::uint64_t serial_ = 0;  // never repeats, unlike an id given from outside
  std::size_t next_ = 0;
  Instant budget_end_{};
  Duration overrun_{};
  bool taken_ = true;
};

}  // namespace gputach
