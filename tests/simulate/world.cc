#include "simulate/world.h"

#include <algorithm>
#include <utility>

namespace gputach::simulate {
namespace {

using namespace std::chrono_literals;

constexpr Duration ask_timeout = 2s;
constexpr Duration ttl = 1s;
constexpr Duration wait_max = ask_timeout + 500ms;
constexpr Duration recovery = 5s;
constexpr std::size_t waiters_max = 40;
constexpr std::size_t events_max = 200'000;  // a schedule that needs more does not come to rest

}  // namespace

World::World(std::uint64_t seed)
    : random_(seed),
      supervisor_({.ask_timeout = ask_timeout}),
      flight_({.ttl = ttl, .wait_max = wait_max, .waiters_max = waiters_max}) {}

std::vector<std::string> World::run() {
  heal_at_ = now_ + between(1s, 150s);
  end_ = heal_at_ + 30s;
  if (chance(3)) schedule(between(0s, 60s), &World::lose_spawner);
  schedule(between(0s, 5s), &World::burst);
  feed(Supervisor::Begin{});
  for (std::size_t i = 0; now_ < end_ && broken_.empty(); ++i) {
    check(i < events_max, "the schedule comes to rest");
    run_next();
  }
  check(tally_.passes <= static_cast<unsigned>((end_ - Instant(1h)) / ttl) + 1, "at most one pass in a TTL");
  return broken_;
}

void World::schedule(Duration delay, Work work, std::uint64_t argument) {
  events_.emplace(now_ + delay, Event{work, argument});
}

void World::run_next() {
  Instant next = events_.empty() ? end_ : std::min(events_.begin()->first, end_);
  const Instant supervisor_due = supervisor_.due();
  const Instant flight_due = flight_.due();
  next = std::min({next, supervisor_due, flight_due});
  now_ = std::max(now_, next);
  if (pass_open_) check(now_ <= pass_deadline_, "every ask is finished at its deadline at the latest");
  const bool starting = process_.exists && !process_.killed && supervisor_.phase() == Supervisor::Phase::starting;
  if (starting) check(now_ - last_progress_ <= limits::worker_startup, "a start without progress is given up");
  for (const Instant since : waiting_) check(now_ - since <= wait_max, "no client waits beyond the bound");
  if (supervisor_due <= now_) {
    feed(Supervisor::Tick{});
    check(supervisor_.due() > now_, "a tick that is due moves on");
  } else if (flight_due <= now_) {
    check(flight_.overdue(now_), "the guard is due when it says so");
    answer_waiters(false);
    result_ = {true, false, now_};
  } else if (!events_.empty() && events_.begin()->first <= now_) {
    const Event event = events_.begin()->second;
    events_.erase(events_.begin());
    (this->*event.work)(event.argument);
  }
}

// What a fault delays comes at the fault's end at the latest.
Duration World::faulty(Duration low, Duration high) {
  return std::min(between(low, high), std::max(heal_at_ - now_, Duration(0)) + 30ms);
}

Duration World::between(Duration low, Duration high) {
  return low + Duration(static_cast<std::int64_t>(random_() % static_cast<std::uint64_t>((high - low).count() + 1)));
}

void World::feed(const Supervisor::Event& event) {
  for (const Supervisor::Action& action : supervisor_.step(now_, event))
    std::visit([this](const auto& a) { act(a); }, action);
}

void World::act(const Supervisor::Spawn&) {
  note("spawn");
  ++tally_.spawns;
  check(!process_.exists && !spawn_pending_, "a worker is spawned only when the one before has been reaped");
  check(now_ >= spawn_not_before_, "after a failure the next start waits");
  spawn_pending_ = true;
  last_progress_ = now_;
  schedule(between(1ms, 5ms), &World::spawned);
}

void World::act(const Supervisor::SendAsk& action) {
  note("ask " + std::to_string(action.id));
  check(process_.exists && !process_.killed, "only a living worker is asked");
  asks_[action.id] = process_.serial;
  const unsigned fate = healed() ? 100 : static_cast<unsigned>(random_() % 100);
  answer_usable_ = true;
  answer_restart_ = false;
  if (fate < 8) return;  // hangs
  if (fate < 14) return schedule(between(0s, 2s), &World::worker_dies, process_.serial);
  if (fate < 18) return schedule(between(0s, 2s), &World::socket_breaks, process_.serial);
  if (fate < 24) answer_usable_ = false;
  if (fate < 27) answer_restart_ = true;
  if (fate < 30) schedule(between(0ms, 1ms), &World::worker_raves, action.id);
  const bool slow = fate < 45;
  schedule(slow ? faulty(1s, 4s) : between(1ms, 50ms), &World::worker_answers, action.id);
}

void World::act(const Supervisor::Kill& action) {
  note("kill: " + action.why);
  ++tally_.kills;
  if (action.why == "no progress while starting")
    check(now_ - last_progress_ >= limits::worker_startup,
          "a worker whose handles arrive is not killed for being slow");
  spawn_not_before_ = now_ + limits::worker_respawn_first;
  process_.killed = true;
  if (!process_.exists) return;
  // A process in the kernel's uninterruptible sleep is reaped late.
  const bool frozen = !healed() && chance(10);
  schedule(frozen ? faulty(1s, 20s) : between(1ms, 10ms), &World::reap, process_.serial);
}

void World::act(const Supervisor::Finish& action) {
  note(action.error ? "finish: " + action.error->context : "finish");
  check(pass_open_, "an ask is finished exactly once");
  check(!raving_, "only the answer to this ask ends it");
  check(action.error || !answer_restart_ || answer_usable_,
        "an answer without figures is an error when it ends a worker");
  end_pass(!action.error && answer_usable_);
}

void World::start_pass(std::uint64_t) {
  check(!pass_open_, "one pass at a time");
  ++tally_.passes;
  pass_open_ = true;
  pass_began_ = now_;
  pass_deadline_ = now_ + ask_timeout;
  feed(Supervisor::Asked{pass_deadline_});
}

void World::end_pass(bool good) {
  pass_open_ = false;
  flight_.finished(now_, pass_began_, !good);
  result_ = {true, good, good ? pass_began_ : now_};
  answer_waiters(good);
}

void World::burst(std::uint64_t) {
  const unsigned count = chance(20) ? static_cast<unsigned>(random_() % 60) : 1;
  for (unsigned i = 0; i < count; ++i) request();
  schedule(chance(10) ? between(1s, 20s) : between(1ms, 900ms), &World::burst);
}

void World::request() {
  ++tally_.requests;
  switch (flight_.request(now_)) {
    case SingleFlight::Verdict::hit:
      ++tally_.hits;
      check(result_.any && now_ - result_.holds_from < ttl, "nothing older than the TTL is served");
      // Whatever was wrong, five seconds after it is mended every answer is right.
      if (now_ >= heal_at_ + recovery && !spawner_lost_) check(result_.good, "recovery: a hit is good again");
      return;
    case SingleFlight::Verdict::started:
      check(!pass_open_, "simultaneous requests cause one pass");
      check(!result_.any || now_ - result_.holds_from >= ttl, "what holds, an error too, is not asked for again");
      waiting_.push_back(now_);
      schedule(between(0ms, 1ms), &World::start_pass);
      return;
    case SingleFlight::Verdict::joined: waiting_.push_back(now_); return;
    case SingleFlight::Verdict::refused: check(waiting_.size() >= waiters_max, "refused only at the bound"); return;
  }
}

void World::answer_waiters(bool good) {
  for (const Instant since : std::exchange(waiting_, {})) {
    ++(good ? tally_.good : tally_.failed);
    if (since >= heal_at_ + recovery && !spawner_lost_)
      check(good, "recovery: a request 5 s after the repair is answered");
    if (spawner_lost_ && since > now_) check(!good, "without a spawner there are no figures");
  }
}

void World::spawned(std::uint64_t) {
  if (spawner_lost_) return;
  spawn_pending_ = false;
  if (!healed() && chance(4)) {
    spawn_not_before_ = now_ + limits::worker_respawn_first;
    return feed(Supervisor::SpawnFailed{"Resource temporarily unavailable"});
  }
  process_ = {.exists = true, .killed = false, .serial = process_.serial + 1, .handles_left = 0};
  last_progress_ = now_;
  feed(Supervisor::Spawned{});
  const unsigned fate = healed() ? 100 : static_cast<unsigned>(random_() % 100);
  process_.handles_left = 1 + static_cast<unsigned>(random_() % 8);
  if (fate < 15) return schedule(between(1ms, 200ms), &World::driver_refuses, process_.serial);
  if (fate < 22) return schedule(between(1ms, 5s), &World::worker_dies, process_.serial);
  // A start that hangs goes on when the fault ends.
  if (fate < 27) return schedule(faulty(300s, 300s), &World::handle_arrives, process_.serial);
  schedule(faulty(1ms, 3s), &World::handle_arrives, process_.serial);
}

void World::handle_arrives(std::uint64_t serial) {
  if (!process_.exists || process_.killed || process_.serial != serial) return;
  last_progress_ = now_;
  feed(Supervisor::Progressed{});
  if (--process_.handles_left == 0) return feed(Supervisor::Ready{});
  schedule(faulty(1ms, 30s), &World::handle_arrives, serial);
}

void World::driver_refuses(std::uint64_t serial) {
  if (!process_.exists || process_.killed || process_.serial != serial) return;
  feed(Supervisor::Refused{{ErrorCode::not_initialized, "NVML not initialized"}});
}

void World::worker_answers(std::uint64_t ask) {
  // A killed worker's socket is closed: its words are lost. A living one may answer an old ask.
  if (!process_.exists || process_.killed || asks_[ask] != process_.serial) return;
  if (answer_restart_ || !answer_usable_) spawn_not_before_ = now_;
  feed(Supervisor::Answered{ask, answer_usable_, answer_restart_});
}

// An answer to something that was not asked.
void World::worker_raves(std::uint64_t ask) {
  if (!process_.exists || process_.killed || asks_[ask] != process_.serial) return;
  raving_ = true;
  feed(Supervisor::Answered{ask + 1000, true, false});
  raving_ = false;
}

void World::worker_dies(std::uint64_t serial) {
  if (!process_.exists || process_.killed || process_.serial != serial) return;
  // Its socket closes first, or the spawner's news is quicker.
  if (chance(50)) {
    schedule(between(0ms, 2ms), &World::reap, serial);
    feed(Supervisor::Broken{"its socket closed"});
  } else {
    reap(serial);
  }
}

void World::reap(std::uint64_t serial) {
  if (!process_.exists || process_.serial != serial) return;
  process_.exists = false;
  if (spawner_lost_) return;
  if (!process_.killed) spawn_not_before_ = now_ + limits::worker_respawn_first;
  note("exited");
  feed(Supervisor::Exited{});
}

void World::socket_breaks(std::uint64_t serial) {
  if (!process_.exists || process_.killed || process_.serial != serial) return;
  feed(Supervisor::Broken{"worker sent a malformed frame"});
}

void World::lose_spawner(std::uint64_t) {
  spawner_lost_ = true;
  process_.exists = false;  // its parent's death signal
  note("spawner lost");
  feed(Supervisor::SpawnerLost{});
}

void World::check(bool condition, const std::string& sentence) {
  if (!condition) broken_.push_back(sentence + " (" + std::string(to_string(supervisor_.phase())) + ")");
}

void World::note(std::string what) {
  trace_.push_back(std::to_string((now_ - Instant(1h)).count() / 1'000'000) + " ms " + std::move(what));
}

}  // namespace gputach::simulate
