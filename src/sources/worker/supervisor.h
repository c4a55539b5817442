// Purpose: decides when a worker is started, asked, given up, killed and replaced. Pure: no clock, socket or process.
// Units: Instant and Duration.
// Owns: its state; a value.
// Threads: one (the sampler's).
// Fails: never; what cannot be had is answered by a `finish` action that carries the error for the client.
//
// Invariants, checked by the simulation in tests/simulate:
//   - a worker is spawned only when the one before has been reaped;
//   - every ask is finished exactly once, at its deadline at the latest;
//   - a worker whose handles still arrive is never killed for being slow;
//   - after failures the next start waits, at most `respawn_max`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "base/limits.h"
#include "base/result.h"

namespace gputach {

// "NVML timed out after 2.0 s"
[[nodiscard]] Error timed_out_error(Duration timeout);

class Supervisor {
 public:
  struct Settings {
    Duration ask_timeout{};  // only for the text of the error; each ask brings its own deadline
    Duration startup = limits::worker_startup;
    Duration respawn_first = limits::worker_respawn_first;
    Duration respawn_max = limits::worker_respawn_max;
  };

  // What happened.
  struct Begin {};  // the daemon starts
  struct Asked {
    Instant deadline;
  };  // a pass is wanted; only when no ask is open
  struct Withdrawn {};  // the asker has gone
  struct Spawned {};    // the spawner started a process
  struct SpawnFailed {
    std::string why;
  };
  struct Progressed {};  // the worker's frames
  struct Ready {};
  struct Refused {
    Error error;
  };
  struct Answered {
    std::uint64_t ask_id;
    bool usable;
    bool restart_wanted;
  };
  struct Broken {
    std::string why;
  };  // its socket ended or carried nonsense
  struct Exited {};  // the spawner reaped it
  struct SpawnerLost {};
  struct SpawnerReplaced {};  // and its worker has been reaped
  struct Tick {};             // the time of due() has come
  using Event = std::variant<Begin, Asked, Withdrawn, Spawned, SpawnFailed, Progressed, Ready, Refused, Answered,
                             Broken, Exited, SpawnerLost, SpawnerReplaced, Tick>;

  // What to do, in this order.
  struct Spawn {};
  struct SendAsk {
    std::uint64_t id;
  };
  struct Kill {
    std::string why;
  };
  struct Finish {
    std::optional<Error> error;
  };  // no error: the answer that came last is the result
  struct ReplaceSpawner {};  // tried again at the next tick unless SpawnerReplaced follows
  using Action = std::variant<Spawn, SendAsk, Kill, Finish, ReplaceSpawner>;
  using Actions = std::vector<Action>;

  enum class Phase : unsigned char {
    down,      // no process
    spawning,  // the spawner was asked for one
    starting,  // the process opens the driver and fetches handles
    ready,     // waits for an ask
    asking,    // reads
    ending,    // killed or ended, not reaped yet
    orphaned,  // the spawner has gone: first it has to be replaced
  };

  explicit Supervisor(Settings settings) : settings_(settings) {}

  [[nodiscard]] Actions step(Instant now, const Event& event);
  // When Tick is wanted; Instant::max() for never.
  [[nodiscard]] Instant due() const;
  [[nodiscard]] Phase phase() const { return phase_; }
  // What is answered while there is no worker.
  [[nodiscard]] const Error& reason() const { return last_error_; }

 private:
  void on(Instant now, const Begin&);
  void on(Instant now, const Asked& event);
  void on(Instant now, const Withdrawn&);
  void on(Instant now, const Spawned&);
  void on(Instant now, const SpawnFailed& event);
  void on(Instant now, const Progressed&);
  void on(Instant now, const Ready&);
  void on(Instant now, const Refused& event);
  void on(Instant now, const Answered& event);
  void on(Instant now, const Broken& event);
  void on(Instant now, const Exited&);
  void on(Instant now, const SpawnerLost&);
  void on(Instant now, const SpawnerReplaced&);
  void on(Instant now, const Tick&);

  void spawn(Instant now);
  void send_ask();
  void kill(std::string why);
  void finish(std::optional<Error> error);
  void count_failure(Instant now, Error error);

  Settings settings_;
  Phase phase_ = Phase::down;
  Actions actions_;
  std::optional<Instant> open_ask_;  // its deadline
  std::uint64_t ask_id_ = 0;
  bool ask_again_ = false;  // the answer on its way belongs to an ask that was withdrawn
  Instant last_progress_{};
  // What is answered while there is no worker, and when the next may come.
  Error last_error_{ErrorCode::stopped, "worker stopped"};
  unsigned failures_ = 0;
  Instant retry_at_{};
  bool retry_unasked_ = false;  // it had been ready once: replace it before somebody asks
  bool was_ready_ = false;
};

[[nodiscard]] std::string_view to_string(Supervisor::Phase phase);

}  // namespace gputach
