// Purpose: hands out Snapshots: the current one while it is fresh, else the one that a pass brings.
// Units: Durations in Settings.
// Owns: the current snapshot and those who wait. What the injected functions reach must outlive it.
// Threads: the io thread for everything.
// Fails: a request is refused (no snapshot) when too many wait; a pass that does not end becomes a failed snapshot.
#pragma once

#include <functional>
#include <vector>

#include "publish/single_flight.h"
#include "publish/snapshot.h"

namespace gputach {

enum class CacheState : unsigned char { hit, miss };

class Hub {
 public:
  using Receive = std::move_only_function<void(const SnapshotPtr&, CacheState)>;  // null: refused
  using AskForPass = std::function<void()>;                                       // must not block
  using After = std::function<void(Duration, std::move_only_function<void()>)>;

  struct Settings {
    SingleFlight::Settings flight;
    Error overdue;  // what those who waited too long are told
  };

  Hub(Settings settings, const Clock& clock, AskForPass ask, After after);

  // The current snapshot while it is fresh, else null: the short way for most requests.
  [[nodiscard]] const SnapshotPtr* current() const { return flight_.fresh(clock_.now()) ? &current_ : nullptr; }
  // Calls `receive` at once on a hit, else when the pass ends.
  void fresh(Receive receive);
  // In force at once, also for the current snapshot.
  void set_ttl(Duration ttl) { flight_.set_ttl(ttl); }
  // A pass ended.
  void publish(SnapshotPtr snapshot);

 private:
  void deliver(CacheState state);
  void watch();

  Settings settings_;
  const Clock& clock_;
  AskForPass ask_;
  After after_;
  SingleFlight flight_;
  SnapshotPtr current_;
  std::vector<Receive> waiting_;
  bool watching_ = false;  // a timer is out; there is never a second one
};

}  // namespace gputach
