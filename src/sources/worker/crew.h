// Purpose: decides inside the worker which reader thread calls the driver for which device, who goes on when a call is
//          late, and when an answer leaves. Pure: threads, timer and socket are in worker.cc.
// Units: Instant and Duration.
// Owns: the pass and the numbers of the readers; a value.
// Threads: none of its own; the caller holds a lock, and never while the driver is called.
// Fails: never.
//
// One reader leads: it receives asks and reads device after device. When its call is late another one takes the lead;
// the old leader delivers when its call returns at last, and ends. Invariants, checked by tests/simulate:
//   - a device is never in two calls at once;
//   - a device that is late or was not reached costs its own row, and no other;
//   - each ask is answered at most once, with figures of calls that began after it came;
//   - an answer with at least one device leaves when the budget ends, at the latest.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "sources/worker/pass.h"

namespace gputach {

class Crew {
 public:
  using Reader = std::uint64_t;

  // The first pass fetches each device's handle. It has no end: whole nodes take minutes to wake.
  Crew(unsigned devices, Instant now, Duration handle_overrun, Duration handle_overrun_min);

  // The reader that leads; the first one is 0.
  [[nodiscard]] Reader leader() const { return leader_; }
  // The first pass is not over: devices are prepared, not read.
  [[nodiscard]] bool starting() const { return starting_; }
  // For the leader: a pass was asked for.
  void begin(std::uint64_t ask_id, Instant now, Duration budget, Duration overrun);
  // For the leader: its next device. Nothing: the list is at its end, and it waits for the next ask.
  [[nodiscard]] std::optional<unsigned> take(Instant now);
  // A reader's call returned. False when it has lost the lead meanwhile, and ends.
  [[nodiscard]] bool deliver(Reader reader, unsigned device, bool shown, Entity entity);

  // When alarmed() wants to be called; Instant::max() for never. It moves less often than the leader's device does: it
  // is set for the first of a pass and looked at again when it goes off.
  [[nodiscard]] Instant alarm_at() const { return alarm_at_; }
  // The time has come: the device whose call is late, and leader() is now one that has to be started.
  [[nodiscard]] std::optional<unsigned> alarmed(Instant now);

  // What is to be sent, looked at after each of the calls above.
  enum class Answer : unsigned char {
    none,
    no_devices,  // none of them is to be shown
    ready,       // the first pass is over
    sample,      // to the ask ask_id()
  };
  [[nodiscard]] Answer answer() const;
  // What answer() offers, once; not for no_devices.
  [[nodiscard]] std::vector<Entity> take_answer(Instant now);
  [[nodiscard]] std::uint64_t ask_id() const { return pass_.id(); }

 private:
  Pass pass_;
  unsigned devices_;
  Reader leader_ = 0;
  std::optional<unsigned> leader_device_;  // the call it is in
  bool starting_ = true;
  Instant alarm_at_ = Instant::max();
};

}  // namespace gputach
