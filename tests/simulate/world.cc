#include "simulate/world.h"

#include <algorithm>
#include <utility>

namespace gputach::simulate {
namespace {

using namespace std::chrono_literals;

constexpr Duration ask_timeout = 2s;
constexpr Duration budget = ask_timeout - ask_timeout / 10;
constexpr Duration overrun = ask_timeout / 4;
constexpr Duration ttl = 1s;
constexpr Duration wait_max = ask_timeout + 500ms;
constexpr Duration recovery = 5s;
constexpr std::size_t waiters_max = 40;
constexpr std::size_t events_max = 2'000'000;  // a schedule that needs more does not come to rest

Timeline timeline_of(std::uint64_t seed) {
  Timeline timeline(seed);
  timeline.heal_at = timeline.now + timeline.between(1s, 150s);
  return timeline;
}

}  // namespace

World::World(std::uint64_t seed)
    : timeline_(timeline_of(seed)),
      end_(timeline_.heal_at + 30s),
      hardware_(timeline_),
      supervisor_({.ask_timeout = ask_timeout}),
      flight_({.ttl = ttl, .wait_max = wait_max, .waiters_max = waiters_max}),
      crash_loop_from_(timeline_.now + timeline_.between(0s, 300s)),
      crash_loop_to_(std::min(crash_loop_from_ + timeline_.between(1s, 60s), timeline_.heal_at)) {}

std::vector<std::string> World::run() {
  if (timeline_.chance(10)) timeline_.after(timeline_.between(0s, 60s), [this] { lose_spawner(); });
  timeline_.after(timeline_.between(0s, 5s), [this] { burst(); });
  feed(Supervisor::Begin{});
  for (std::size_t i = 0; timeline_.now < end_ && timeline_.broken.empty(); ++i) {
    check(i < events_max, "the schedule comes to rest");
    run_next();
  }
  check(tally_.passes <= static_cast<unsigned long long>((end_ - Timeline::start) / ttl) + 1,
        "at most one pass in a TTL");
  return timeline_.broken;
}

void World::run_next() {
  const Instant supervisor_due = supervisor_.due();
  const Instant flight_due = flight_.due();
  Instant& now = timeline_.now;
  now = std::max(now, std::min({timeline_.next_event(), end_, supervisor_due, flight_due}));
  if (pass_open_) check(now <= pass_deadline_, "every ask is finished at its deadline at the latest");
  const bool starting = process_.exists && !process_.killed && supervisor_.phase() == Supervisor::Phase::starting;
  if (starting) check(now - last_progress_ <= limits::worker_startup, "a start without progress is given up");
  for (const Instant since : waiting_) check(now - since <= wait_max, "no client waits beyond the bound");
  if (supervisor_due <= now) {
    feed(Supervisor::Tick{});
    check(supervisor_.due() > now, "a tick that is due moves on");
  } else if (flight_due <= now) {
    check(flight_.overdue(now), "the guard is due when it says so");
    answer_waiters(false);
    result_ = {true, false, now};
  } else {
    timeline_.run_one();
  }
}

void World::feed(const Supervisor::Event& event) {
  for (const Supervisor::Action& action : supervisor_.step(timeline_.now, event))
    std::visit([this](const auto& a) { act(a); }, action);
}

void World::act(const Supervisor::Spawn&) {
  timeline_.note("spawn");
  ++tally_.spawns;
  check(!process_.exists && !spawn_pending_, "a worker is spawned only when the one before has been reaped");
  check(timeline_.now >= spawn_not_before_, "after a failure the next start waits");
  spawn_pending_ = true;
  last_progress_ = timeline_.now;
  timeline_.after(timeline_.between(1ms, 5ms), [this] { spawned(); });
}

void World::act(const Supervisor::SendAsk& action) {
  timeline_.note("ask " + std::to_string(action.id));
  check(process_.exists && !process_.killed, "only a living worker is asked");
  asked_at_ = timeline_.now;
  const std::uint64_t serial = process_.serial;
  const auto fate = timeline_.healed() ? 100 : timeline_.below(100);
  if (fate < 3 || in_crash_loop()) timeline_.after(timeline_.between(0s, 1ms), [=, this] { worker_dies(serial); });
  if (fate == 3) timeline_.after(timeline_.faulty(0s, 2s), [=, this] { socket_breaks(serial); });
  if (fate == 4) process_.inside->stop_until(timeline_.now + timeline_.faulty(0s, 60s));
  if (fate < 8) timeline_.after(timeline_.between(0ms, 1ms), [=, this] { rave(serial, action.id); });
  timeline_.after(timeline_.between(1us, 200us), [=, this] {
    if (alive(serial)) process_.inside->ask(action.id, budget, overrun);
  });
}

void World::act(const Supervisor::Kill& action) {
  timeline_.note("kill: " + action.why);
  ++tally_.kills;
  const Instant now = timeline_.now;
  if (action.why == "no progress while starting")
    check(now - last_progress_ >= limits::worker_startup, "a worker whose handles arrive is not killed for being slow");
  if (action.why == "no answer before the deadline" && now - asked_at_ >= budget &&
      !process_.inside->was_stopped_since(asked_at_) && !process_.inside->ended()) {
    for (unsigned device = 0; device < hardware_.devices(); ++device)
      check(!hardware_.only_others_hung_since(device, asked_at_ - 1s) || process_.inside->in_call_at(device, asked_at_),
            "others that hang do not cost the answer of a device that is well");
  }
  spawn_not_before_ = now + limits::worker_respawn_first;
  process_.killed = true;
  if (!process_.exists) return;
  process_.inside->end();
  // A process in the kernel's uninterruptible sleep is reaped late.
  const bool frozen = !timeline_.healed() && timeline_.chance(10);
  timeline_.after(frozen ? timeline_.faulty(1s, 20s) : timeline_.between(1ms, 10ms),
                  [this, serial = process_.serial] { reap(serial); });
}

void World::act(const Supervisor::Finish& action) {
  timeline_.note(action.error ? "finish: " + action.error->context : "finish");
  check(pass_open_, "an ask is finished exactly once");
  check(!raving_, "only the answer to this ask ends it");
  check(action.error || !answer_.restart_wanted || answer_.usable,
        "an answer without figures is an error when it ends a worker");
  check(action.error || answer_.began >= pass_began_, "figures are not older than the question");
  if (!action.error && answer_.usable && !answer_.complete) ++tally_.partial;
  end_pass(!action.error && answer_.usable);
}

void World::start_pass() {
  check(!pass_open_, "one pass at a time");
  ++tally_.passes;
  pass_open_ = true;
  pass_began_ = timeline_.now;
  pass_deadline_ = timeline_.now + ask_timeout;
  if (!timeline_.healed() && timeline_.chance(4))
    timeline_.after(timeline_.between(0ms, 100ms), [this, pass = tally_.passes] { withdraw(pass); });
  feed(Supervisor::Asked{pass_deadline_});
}

// The asker goes; who comes next must not be given what was meant for it.
void World::withdraw(unsigned long long pass) {
  if (!pass_open_ || pass != tally_.passes) return;
  timeline_.note("withdraw");
  ++tally_.withdrawn;
  feed(Supervisor::Withdrawn{});
  check(pass_open_, "nothing is finished for one who has gone");
  end_pass(false);
}

void World::end_pass(bool good) {
  pass_open_ = false;
  flight_.finished(timeline_.now, pass_began_, !good);
  result_ = {true, good, good ? pass_began_ : timeline_.now};
  answer_waiters(good);
}

void World::burst() {
  const auto count = timeline_.chance(20) ? timeline_.below(60) : 1;
  for (std::uint64_t i = 0; i < count; ++i) request();
  const Duration pause = timeline_.chance(10) ? timeline_.between(1s, 20s) : timeline_.between(1ms, 900ms);
  timeline_.after(pause, [this] { burst(); });
}

void World::request() {
  ++tally_.requests;
  const Instant now = timeline_.now;
  switch (flight_.request(now)) {
    case SingleFlight::Verdict::hit:
      ++tally_.hits;
      check(result_.any && now - result_.holds_from < ttl, "nothing older than the TTL is served");
      // Whatever was wrong, five seconds after it is mended every answer is right.
      if (now >= mended_at() + recovery) check(result_.good && answer_.complete, "recovery: a hit is good again");
      return;
    case SingleFlight::Verdict::started:
      check(!pass_open_, "simultaneous requests cause one pass");
      check(!result_.any || now - result_.holds_from >= ttl, "what holds, an error too, is not asked for again");
      waiting_.push_back(now);
      timeline_.after(timeline_.between(0ms, 1ms), [this] { start_pass(); });
      return;
    case SingleFlight::Verdict::joined: waiting_.push_back(now); return;
    case SingleFlight::Verdict::refused: check(waiting_.size() >= waiters_max, "refused only at the bound"); return;
  }
}

void World::answer_waiters(bool good) {
  for (const Instant since : std::exchange(waiting_, {})) {
    ++(good ? tally_.good : tally_.failed);
    if (since >= mended_at() + recovery)
      check(good && answer_.complete, "recovery: a request 5 s after the repair is answered with every device");
  }
}

void World::spawned() {
  if (spawner_lost_) return;
  spawn_pending_ = false;
  if (!timeline_.healed() && timeline_.chance(4)) {
    spawn_not_before_ = timeline_.now + limits::worker_respawn_first;
    return feed(Supervisor::SpawnFailed{"Resource temporarily unavailable"});
  }
  const std::uint64_t serial = process_.serial + 1;
  auto inside = std::make_shared<WorkerProcess>(timeline_, hardware_,
                                                [=, this](const Message& message) { receive(serial, message); });
  process_ = {.exists = true, .killed = false, .serial = serial, .inside = std::move(inside)};
  last_progress_ = timeline_.now;
  feed(Supervisor::Spawned{});
  begin_worker(serial);
}

void World::begin_worker(std::uint64_t serial) {
  const auto fate = timeline_.healed() ? 100 : timeline_.below(100);
  if (fate < 10)
    return timeline_.after(timeline_.between(1ms, 200ms),
                           [=, this] { receive(serial, {.kind = Message::Kind::refused}); });
  if (fate < 15 || in_crash_loop())
    timeline_.after(timeline_.faulty(1ms, fate < 15 ? 5s : 50ms), [=, this] { worker_dies(serial); });
  // Opening the library takes a moment, or hangs until the fault ends.
  timeline_.after(fate < 20 ? timeline_.faulty(1s, 300s) : timeline_.faulty(1ms, 300ms), [=, this] {
    if (alive(serial)) process_.inside->open();
  });
}

bool World::alive(std::uint64_t serial) const {
  return process_.exists && !process_.killed && process_.serial == serial && !process_.inside->ended();
}

void World::receive(std::uint64_t serial, const Message& message) {
  // A killed worker's socket is closed: its words are lost.
  if (!process_.exists || process_.killed || process_.serial != serial) return;
  switch (message.kind) {
    case Message::Kind::progress: last_progress_ = timeline_.now; return feed(Supervisor::Progressed{});
    case Message::Kind::ready: return feed(Supervisor::Ready{});
    case Message::Kind::refused: return feed(Supervisor::Refused{{ErrorCode::not_initialized, "NVML not initialized"}});
    case Message::Kind::sample:
      answer_ = message;
      return feed(Supervisor::Answered{message.ask_id, message.usable, message.restart_wanted});
  }
}

// An answer to something that was not asked.
void World::rave(std::uint64_t serial, std::uint64_t ask) {
  if (!alive(serial)) return;
  raving_ = true;
  feed(Supervisor::Answered{ask + 1000, true, false});
  raving_ = false;
}

void World::worker_dies(std::uint64_t serial) {
  if (!alive(serial)) return;
  timeline_.note("worker dies");
  process_.inside->end();
  // Its socket closes first, or the spawner's news is quicker.
  if (timeline_.chance(50)) {
    timeline_.after(timeline_.between(0ms, 2ms), [=, this] { reap(serial); });
    feed(Supervisor::Broken{"its socket closed"});
  } else {
    reap(serial);
  }
}

void World::reap(std::uint64_t serial) {
  if (!process_.exists || process_.serial != serial) return;
  process_.exists = false;
  process_.inside->end();
  if (spawner_lost_) return;
  if (!process_.killed) spawn_not_before_ = timeline_.now + limits::worker_respawn_first;
  timeline_.note("exited");
  feed(Supervisor::Exited{});
}

void World::socket_breaks(std::uint64_t serial) {
  if (!alive(serial)) return;
  feed(Supervisor::Broken{"worker sent a malformed frame"});
}

void World::lose_spawner() {
  timeline_.note("spawner lost");
  spawner_lost_ = true;
  spawner_lost_at_ = timeline_.now;
  spawn_pending_ = false;
  spawn_not_before_ = timeline_.now + limits::worker_respawn_first;
  if (process_.exists) {
    // Its parent's death signal; it may be frozen all the same.
    process_.killed = true;
    process_.inside->end();
    const bool frozen = !timeline_.healed() && timeline_.chance(10);
    timeline_.after(frozen ? timeline_.faulty(1s, 20s) : timeline_.between(1ms, 10ms),
                    [this, serial = process_.serial] { reap(serial); });
  }
  feed(Supervisor::SpawnerLost{});
}

void World::act(const Supervisor::ReplaceSpawner&) {
  check(spawner_lost_, "only a spawner that has gone is replaced");
  timeline_.note(process_.exists ? "its worker is still there" : "spawner replaced");
  if (process_.exists) return;
  spawner_lost_ = false;
  feed(Supervisor::SpawnerReplaced{});
}

Instant World::mended_at() const {
  return std::max(timeline_.heal_at, spawner_lost_at_);
}

void World::check(bool condition, const std::string& sentence) {
  timeline_.check(condition, sentence);
}

}  // namespace gputach::simulate
