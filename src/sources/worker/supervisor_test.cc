// Single decisions. Whole schedules are in tests/simulate.
#include "sources/worker/supervisor.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace gputach {
namespace {

using namespace std::chrono_literals;
using Phase = Supervisor::Phase;

constexpr Instant t0{1h};

template <class A>
bool has(const Supervisor::Actions& actions) {
  return std::ranges::any_of(actions, [](const auto& a) { return std::holds_alternative<A>(a); });
}

std::string finished_with(const Supervisor::Actions& actions) {
  for (const auto& action : actions)
    if (const auto* finish = std::get_if<Supervisor::Finish>(&action))
      return finish->error ? finish->error->context : "good";
  return "not finished";
}

Supervisor supervisor() {
  return Supervisor({.ask_timeout = 2s});
}

Supervisor ready_supervisor() {
  Supervisor s = supervisor();
  (void)s.step(t0, Supervisor::Begin{});
  (void)s.step(t0, Supervisor::Spawned{});
  (void)s.step(t0, Supervisor::Ready{});
  return s;
}

TEST(Supervisor, TheWorkerStartsWithTheDaemon) {
  Supervisor s = supervisor();
  EXPECT_TRUE(has<Supervisor::Spawn>(s.step(t0, Supervisor::Begin{})));
}

TEST(Supervisor, ARequestDuringTheStartWaitsForItAndIsAnsweredAtItsDeadline) {
  Supervisor s = supervisor();
  (void)s.step(t0, Supervisor::Begin{});
  (void)s.step(t0, Supervisor::Spawned{});
  EXPECT_TRUE(s.step(t0, Supervisor::Asked{t0 + 2s}).empty());
  EXPECT_EQ(s.due(), t0 + 2s);
  EXPECT_EQ(finished_with(s.step(t0 + 2s, Supervisor::Tick{})), "NVML not initialized");
  EXPECT_EQ(s.phase(), Phase::starting) << "the start goes on";
  (void)s.step(t0 + 3s, Supervisor::Asked{t0 + 5s});
  EXPECT_TRUE(has<Supervisor::SendAsk>(s.step(t0 + 4s, Supervisor::Ready{})));
}

TEST(Supervisor, AStartIsGivenUpOnlyWhenNoHandleArrivesForItsOwnDeadline) {
  Supervisor s = supervisor();
  (void)s.step(t0, Supervisor::Begin{});
  (void)s.step(t0, Supervisor::Spawned{});
  Instant now = t0;
  for (int handle = 0; handle < 10; ++handle) {
    now += 59s;
    EXPECT_TRUE(s.step(now, Supervisor::Tick{}).empty());
    (void)s.step(now, Supervisor::Progressed{});
  }
  EXPECT_FALSE(has<Supervisor::Kill>(s.step(now + 59s, Supervisor::Tick{})));
  EXPECT_TRUE(has<Supervisor::Kill>(s.step(now + 60s, Supervisor::Tick{})));
}

TEST(Supervisor, AnAskWithoutAnswerEndsInItsErrorAndTheWorkersDeath) {
  Supervisor s = ready_supervisor();
  (void)s.step(t0, Supervisor::Asked{t0 + 2s});
  const auto actions = s.step(t0 + 2s, Supervisor::Tick{});
  EXPECT_TRUE(has<Supervisor::Kill>(actions));
  EXPECT_EQ(finished_with(actions), "NVML timed out after 2.0 s");
  EXPECT_EQ(finished_with(s.step(t0 + 3s, Supervisor::Asked{t0 + 5s})), "worker stopped") << "answers at once";
  EXPECT_FALSE(has<Supervisor::Spawn>(s.step(t0 + 60s, Supervisor::Tick{}))) << "not before it is reaped";
  (void)s.step(t0 + 61s, Supervisor::Exited{});
  EXPECT_TRUE(has<Supervisor::Spawn>(s.step(t0 + 61s, Supervisor::Tick{}))) << "it had been ready: nobody has to ask";
}

TEST(Supervisor, ADriverThatRefusesIsTriedAgainOnlyOnDemandAndAfterAPause) {
  Supervisor s = supervisor();
  (void)s.step(t0, Supervisor::Begin{});
  (void)s.step(t0, Supervisor::Spawned{});
  (void)s.step(t0, Supervisor::Refused{{ErrorCode::no_gpus, "no GPUs found"}});
  EXPECT_EQ(finished_with(s.step(t0, Supervisor::Asked{t0 + 2s})), "no GPUs found") << "also before it is reaped";
  (void)s.step(t0, Supervisor::Exited{});
  EXPECT_EQ(s.due(), Instant::max()) << "an idle machine without a driver sleeps";
  EXPECT_EQ(finished_with(s.step(t0 + 50ms, Supervisor::Asked{t0 + 2s})), "no GPUs found");
  EXPECT_TRUE(has<Supervisor::Spawn>(s.step(t0 + 100ms, Supervisor::Asked{t0 + 2s})));
}

TEST(Supervisor, ThePauseDoublesUpToItsBoundAndAGoodAnswerResetsIt) {
  Supervisor s = ready_supervisor();
  Instant now = t0;
  for (const Duration pause : {100ms, 200ms, 400ms, 800ms, 1600ms, 3000ms, 3000ms}) {
    (void)s.step(now, Supervisor::Broken{"crash"});
    (void)s.step(now, Supervisor::Exited{});
    EXPECT_EQ(s.due(), now + pause);
    now += pause;
    (void)s.step(now, Supervisor::Tick{});
    (void)s.step(now, Supervisor::Spawned{});
    (void)s.step(now, Supervisor::Ready{});
  }
  (void)s.step(now, Supervisor::Asked{now + 2s});
  EXPECT_EQ(finished_with(s.step(now, Supervisor::Answered{1, true, false})), "good");
  (void)s.step(now, Supervisor::Broken{"crash"});
  (void)s.step(now, Supervisor::Exited{});
  EXPECT_EQ(s.due(), now + 100ms);
}

TEST(Supervisor, AnAnswerThatWantsAFreshProcessIsStillDeliveredWhenItHasFigures) {
  Supervisor s = ready_supervisor();
  (void)s.step(t0, Supervisor::Asked{t0 + 2s});
  auto actions = s.step(t0, Supervisor::Answered{1, true, true});
  EXPECT_TRUE(has<Supervisor::Kill>(actions));
  EXPECT_EQ(finished_with(actions), "good");

  s = ready_supervisor();
  (void)s.step(t0, Supervisor::Asked{t0 + 2s});
  EXPECT_EQ(finished_with(s.step(t0, Supervisor::Answered{1, false, true})), "NVML not initialized");
}

TEST(Supervisor, TheAnswerToAWithdrawnAskIsNotGivenToTheNextOne) {
  Supervisor s = ready_supervisor();
  (void)s.step(t0, Supervisor::Asked{t0 + 2s});
  (void)s.step(t0 + 1s, Supervisor::Withdrawn{});
  (void)s.step(t0 + 1s, Supervisor::Asked{t0 + 3s});
  const auto actions = s.step(t0 + 2s, Supervisor::Answered{1, true, false});
  EXPECT_TRUE(has<Supervisor::SendAsk>(actions));
  EXPECT_EQ(finished_with(actions), "not finished");
  EXPECT_EQ(finished_with(s.step(t0 + 2s, Supervisor::Answered{2, true, false})), "good");
}

TEST(Supervisor, TheAnswerToAWithdrawnAskIsNotGivenToTheNextOneWhenItWantsAFreshProcess) {
  Supervisor s = ready_supervisor();
  (void)s.step(t0, Supervisor::Asked{t0 + 2s});
  (void)s.step(t0 + 1s, Supervisor::Withdrawn{});
  (void)s.step(t0 + 1s, Supervisor::Asked{t0 + 3s});
  EXPECT_EQ(finished_with(s.step(t0 + 2s, Supervisor::Answered{1, true, true})), "NVML not initialized");
}

TEST(Supervisor, WithoutASpawnerEveryAskIsAnsweredAtOnceAndItIsReplaced) {
  Supervisor s = ready_supervisor();
  (void)s.step(t0, Supervisor::Asked{t0 + 2s});
  EXPECT_EQ(finished_with(s.step(t0, Supervisor::SpawnerLost{})), "worker stopped");
  EXPECT_EQ(finished_with(s.step(t0, Supervisor::Asked{t0 + 2s})), "worker stopped");
  EXPECT_EQ(s.due(), t0 + 100ms);
  EXPECT_TRUE(has<Supervisor::ReplaceSpawner>(s.step(t0 + 100ms, Supervisor::Tick{})));
  EXPECT_EQ(s.due(), t0 + 300ms) << "its worker may not be reaped yet: tried again, ever less often";
  EXPECT_TRUE(has<Supervisor::ReplaceSpawner>(s.step(t0 + 300ms, Supervisor::Tick{})));
  EXPECT_TRUE(has<Supervisor::Spawn>(s.step(t0 + 300ms, Supervisor::SpawnerReplaced{})));
}

}  // namespace
}  // namespace gputach
