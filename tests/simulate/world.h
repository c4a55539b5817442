// Purpose: a world for Supervisor and SingleFlight without processes, sockets or clocks: a spawner, workers that are
//          slow, hang, crash, refuse or die late, and clients that come in bursts. Everything follows from a seed.
// Units: Instant; one schedule covers some minutes of simulated time.
// Owns: both machines under test.
// Threads: one.
// Fails: a broken invariant is a sentence in `broken`; the same seed breaks in the same way.
#pragma once

#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "publish/single_flight.h"
#include "sources/worker/supervisor.h"

namespace gputach::simulate {

class World {
 public:
  explicit World(std::uint64_t seed);

  // Runs the whole schedule; the broken invariants, empty when all hold.
  std::vector<std::string> run();

  struct Tally {
    unsigned requests = 0, hits = 0, good = 0, failed = 0, spawns = 0, kills = 0, passes = 0;
  };
  [[nodiscard]] const Tally& tally() const { return tally_; }
  // What happened, in order; the same for the same seed.
  [[nodiscard]] const std::vector<std::string>& trace() const { return trace_; }

 private:
  using Work = void (World::*)(std::uint64_t);

  struct Event {
    Work work;
    std::uint64_t argument;
  };

  struct Process {
    bool exists = false;
    bool killed = false;
    std::uint64_t serial = 0;
    unsigned handles_left = 0;
  };

  // Time.
  void schedule(Duration delay, Work work, std::uint64_t argument = 0);
  void run_next();
  [[nodiscard]] bool chance(unsigned percent) { return random_() % 100 < percent; }
  [[nodiscard]] Duration between(Duration low, Duration high);
  [[nodiscard]] Duration faulty(Duration low, Duration high);
  [[nodiscard]] bool healed() const { return now_ >= heal_at_; }

  // The server's side.
  void feed(const Supervisor::Event& event);
  void act(const Supervisor::Spawn&);
  void act(const Supervisor::SendAsk& action);
  void act(const Supervisor::Kill& action);
  void act(const Supervisor::Finish& action);
  void start_pass(std::uint64_t);
  void end_pass(bool good);

  // Clients.
  void burst(std::uint64_t);
  void request();
  void answer_waiters(bool good);

  // The spawner's and the worker's side.
  void spawned(std::uint64_t);
  void handle_arrives(std::uint64_t serial);
  void driver_refuses(std::uint64_t serial);
  void worker_answers(std::uint64_t ask);
  void worker_raves(std::uint64_t ask);
  void worker_dies(std::uint64_t serial);
  void reap(std::uint64_t serial);
  void socket_breaks(std::uint64_t serial);
  void lose_spawner(std::uint64_t);

  void check(bool condition, const std::string& sentence);
  void note(std::string what);

  std::mt19937_64 random_;
  Instant now_{std::chrono::hours(1)};
  Instant heal_at_{};
  Instant end_{};
  std::multimap<Instant, Event> events_;

  Supervisor supervisor_;
  SingleFlight flight_;

  Process process_;
  bool spawn_pending_ = false;
  bool spawner_lost_ = false;
  Instant last_progress_{};
  Instant spawn_not_before_{};
  std::map<std::uint64_t, std::uint64_t> asks_;  // ask id -> serial of the process that got it
  bool answer_usable_ = false;
  bool answer_restart_ = false;
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
  std::vector<std::string> broken_;
  std::vector<std::string> trace_;
};

}  // namespace gputach::simulate
