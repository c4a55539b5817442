// Purpose: a world for Supervisor, SingleFlight and Crew without processes, sockets or clocks: a spawner, workers with
//          GPUs that are slow, hang, block the whole driver or are lost, processes that crash, are stopped, refuse or
//          die late, and clients that come in bursts. Everything follows from a seed.
// Units: Instant; one schedule covers some minutes of simulated time.
// Owns: the machines under test.
// Threads: one.
// Fails: a broken invariant is a sentence in run()'s answer; the same seed breaks in the same way.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "publish/single_flight.h"
#include "simulate/worker_process.h"
#include "sources/worker/supervisor.h"

namespace gputach::simulate {

class World {
 public:
  explicit World(std::uint64_t seed);

  // Runs the whole schedule; the broken invariants, empty when all hold.
  std::vector<std::string> run();

  struct Tally {
    unsigned long long requests = 0, hits = 0, good = 0, partial = 0, failed = 0, spawns = 0, kills = 0, passes = 0,
                       withdrawn = 0;

    Tally& operator+=(const Tally& more) {
      requests += more.requests, hits += more.hits, good += more.good, partial += more.partial;
      failed += more.failed, spawns += more.spawns, kills += more.kills, passes += more.passes;
      withdrawn += more.withdrawn;
      return *this;
    }
  };
  [[nodiscard]] const Tally& tally() const { return tally_; }
  // What happened, in order; the same for the same seed.
  [[nodiscard]] const std::vector<std::string>& trace() const { return timeline_.trace; }

 private:
  // Time.
  void run_next();
  void check(bool condition, const std::string& sentence);

  // The server's side.
  void feed(const Supervisor::Event& event);
  void act(const Supervisor::Spawn&);
  void act(const Supervisor::SendAsk& action);
  void act(const Supervisor::Kill& action);
  void act(const Supervisor::Finish& action);
  void act(const Supervisor::ReplaceSpawner&);
  void start_pass();
  void withdraw(unsigned long long pass);
  void end_pass(bool good);

  // Clients.
  void burst();
  void request();
  void answer_waiters(bool good);

  // The spawner's and the worker's side.
  void spawned();
  void begin_worker(std::uint64_t serial);
  void receive(std::uint64_t serial, const Message& message);
  void rave(std::uint64_t serial, std::uint64_t ask);
  void worker_dies(std::uint64_t serial);
  void socket_breaks(std::uint64_t serial);
  void reap(std::uint64_t serial);
  void lose_spawner();
  [[nodiscard]] Instant mended_at() const;
  [[nodiscard]] bool alive(std::uint64_t serial) const;
  [[nodiscard]] bool in_crash_loop() const {
    return crash_loop_from_ <= timeline_.now && timeline_.now < crash_loop_to_;
  }

  Timeline timeline_;
  Instant end_;
  Hardware hardware_;
  Supervisor supervisor_;
  SingleFlight flight_;

  struct Process {
    bool exists = false;
    bool killed = false;
    std::uint64_t serial = 0;
    std::shared_ptr<WorkerProcess> inside;
  };
  Process process_;
  bool spawn_pending_ = false;
  bool spawner_lost_ = false;
  Instant spawner_lost_at_{};
  Instant crash_loop_from_, crash_loop_to_;
  Instant last_progress_{};
  Instant spawn_not_before_{};
  Instant asked_at_{};  // when the worker was asked last
  Message answer_;      // the last one
  bool raving_ = false;

  bool pass_open_ = false;
  Instant pass_began_{};
  Instant pass_deadline_{};

  struct Result {
    bool any = false;
    bool good = false;
    Instant holds_from{};
  };
  Result result_;
  std::vector<Instant> waiting_;  // when each waiting client came

  Tally tally_;
};

}  // namespace gputach::simulate
