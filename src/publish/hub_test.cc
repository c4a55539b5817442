#include "publish/hub.h"

#include <gtest/gtest.h>

#include <map>

namespace gputach {
namespace {

using namespace std::chrono_literals;

struct World {
  ManualClock clock;
  unsigned passes = 0;
  std::multimap<Instant, std::move_only_function<void()>> timers;
  Hub hub{{.flight = {.ttl = 1s, .wait_max = 3s, .waiters_max = 4},
           .overdue = {ErrorCode::timed_out, "NVML timed out after 2.0 s"}},
          clock,
          [this] { ++passes; },
          [this](Duration delay, std::move_only_function<void()> work) {
            timers.emplace(clock.now() + delay, std::move(work));
          }};
  std::vector<std::pair<SnapshotPtr, CacheState>> got;

  void request() {
    hub.fresh([this](const SnapshotPtr& s, CacheState c) { got.emplace_back(s, c); });
  }
  void advance(Duration by) {
    clock.advance(by);
    while (!timers.empty() && timers.begin()->first <= clock.now()) {
      auto work = std::move(timers.begin()->second);
      timers.erase(timers.begin());
      work();
    }
  }
  SnapshotPtr snapshot() const {
    Sample sample;
    sample.collected = clock.now();
    sample.entities.emplace_back(Scope::gpu, 0u);
    sample.entities[0].condition = Status::ok;
    for (Reading& reading : sample.entities[0].readings) reading = Reading::of(0);
    return std::make_shared<const Snapshot>(std::move(sample));
  }
};

TEST(Hub, RequestsWaitForOnePassAndLaterOnesShareItsBytes) {
  World world;
  world.request();
  world.request();
  EXPECT_EQ(world.passes, 1u);
  EXPECT_TRUE(world.got.empty());
  const SnapshotPtr snapshot = world.snapshot();
  world.hub.publish(snapshot);
  world.request();
  ASSERT_EQ(world.got.size(), 3u);
  for (const auto& [got, state] : world.got) EXPECT_EQ(got, snapshot);
  EXPECT_EQ(world.got[0].second, CacheState::miss);
  EXPECT_EQ(world.got[1].second, CacheState::miss);
  EXPECT_EQ(world.got[2].second, CacheState::hit);
  EXPECT_EQ(world.passes, 1u);
}

TEST(Hub, TooManyWaitersAreRefusedWithoutASnapshot) {
  World world;
  for (int i = 0; i < 5; ++i) world.request();
  ASSERT_EQ(world.got.size(), 1u);
  EXPECT_EQ(world.got[0].first, nullptr);
}

TEST(Hub, APassThatNeverEndsIsAnsweredByTheGuard) {
  World world;
  world.request();
  world.advance(2999ms);
  EXPECT_TRUE(world.got.empty());
  world.advance(1ms);
  ASSERT_EQ(world.got.size(), 1u);
  EXPECT_EQ(world.got[0].first->stats(MissingFields::in_header).body,
            R"({"error":"Failed to query GPU: NVML timed out after 2.0 s"})");
  world.request();
  EXPECT_EQ(world.got.back().second, CacheState::hit);
  world.advance(1s);
  world.request();
  EXPECT_EQ(world.passes, 1u) << "no second pass while the first is out";
  world.hub.publish(world.snapshot());
  EXPECT_EQ(world.got.size(), 3u);
}

TEST(Hub, TheGuardOfAPassThatEndedDoesNothing) {
  World world;
  world.request();
  world.hub.publish(world.snapshot());
  world.advance(10s);
  EXPECT_EQ(world.got.size(), 1u);
}

TEST(Hub, ThereIsOneGuardHoweverManyPassesThereAreAndItWatchesTheLastOne) {
  World world;
  for (int pass = 0; pass < 100; ++pass) {
    world.request();
    world.hub.publish(world.snapshot());
    world.advance(1s);
    EXPECT_LE(world.timers.size(), 1u);
  }
  world.got.clear();
  world.request();
  world.advance(2999ms);
  EXPECT_TRUE(world.got.empty());
  world.advance(1ms);
  EXPECT_EQ(world.got.size(), 1u);
}

TEST(Hub, AReceiverThatAsksAgainWaitsForTheNextPass) {
  World world;
  world.clock.advance(1h);
  unsigned answers = 0;
  std::function<void()> ask = [&] {
    world.hub.fresh([&](const SnapshotPtr&, CacheState) {
      if (++answers < 3) {
        world.clock.advance(2s);
        ask();
      }
    });
  };
  ask();
  world.hub.publish(world.snapshot());
  EXPECT_EQ(answers, 1u);
  EXPECT_EQ(world.passes, 2u);
}

}  // namespace
}  // namespace gputach
