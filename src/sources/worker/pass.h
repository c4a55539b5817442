// Purpose: the book-keeping of one pass over all devices: who is read, who is late, when an answer can leave.
//          Pure: threads, sockets and clocks are in worker.cc, who reads is decided in crew.h.
// Units: Instant and Duration.
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
  // How long a pass and a call in it may take.
  struct Pace {
    Duration budget;       // then the answer leaves with what there is
    Duration overrun;      // the first call that takes longer is late ...
    Duration overrun_min;  // ... each further one has half of that, but at least this

    // Such that each device is tried within the budget, whoever of them hangs.
    [[nodiscard]] static Pace for_devices(std::size_t devices, Duration budget, Duration overrun);
  };

  explicit Pass(unsigned slots) : slots_(slots) {}

  // Begins a pass; what belonged to the one before is forgotten, calls still out remain known as busy. Where the one
  // before ran out of time this one begins, so that slow devices take turns.
  void begin(std::uint64_t id, Instant now, const Pace& pace);
  // The next device to be read, marked busy; nothing when the list is at its end or the budget is spent.
  [[nodiscard]] std::optional<unsigned> take_next(Instant now);
  // A call returned, in time or late. `shown` is false for a device that is never to be asked again.
  void returned(unsigned slot, bool shown, Entity entity);
  // When the call that is out for this device has become late.
  [[nodiscard]] Instant late_at(unsigned slot) const;
  // It is late, and somebody else goes on: calls begun from now on have less time.
  void passed_over() { ++late_calls_; }

  // Every device is read or late, at least one is read, and the answer was not taken yet. The caller knows whether a
  // call is out that is not late.
  [[nodiscard]] bool answerable() const;
  // All devices to be shown, the late ones with a fault. Once per pass.
  [[nodiscard]] std::vector<Entity> take_answer(Instant now);

  [[nodiscard]] std::uint64_t id() const { return id_; }
  [[nodiscard]] bool any_shown() const;
  // No further device is begun in this pass.
  [[nodiscard]] bool exhausted() const { return steps_ >= slots_.size(); }

 private:
  struct Slot {
    bool busy = false;
    bool hidden = false;
    bool known = false;          // `last` holds an identity
    std::uint64_t begun_in = 0;  // the pass in which the last call began
    std::uint64_t read_in = 0;   // the pass in which it was last read
    std::uint64_t out_in = 0;    // the pass in which its turn came while a call was still out
    Instant began{};
    Duration patience{};
    Entity last;
  };

  [[nodiscard]] std::string fault_of(const Slot& slot, Instant now) const;

  std::vector<Slot> slots_;
  std::uint64_t id_ = 0;
  std::uint64_t serial_ = 0;  // never repeats, unlike an id given from outside
  std::size_t first_ = 0;     // the slot with which this pass begins ...
  std::size_t steps_ = 0;     // ... and how many have been looked at
  std::size_t next_first_ = 0;
  Pace pace_{};
  Instant budget_end_{};
  unsigned late_calls_ = 0;
  bool taken_ = true;
};

}  // namespace gputach
